"""Stages that touch images, from a folder to shards: images per second, and packing against a copy.

    python benchmarks/image_stages.py [--images 1000] [--side 512] [--folder FOLDER]

Pictures of about the weight of photographs (87 kB at a shorter side of 512), written as JPEG files,
go through all data stages. Process CPU time on one thread; the peak of memory of each stage is that
of a process of its own. Packing is compared with copying its shards in pieces of a megabyte.
Rates go into `workflow/plan/rates.py`.
"""

import argparse
import functools
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd  # noqa: F401  pyarrow would, in the middle of a measurement
from measuring import cpu_seconds, peak_megabytes
from PIL import Image

from data_filters import source_kinds
from data_filters.stages import (
    deduplicate,
    download_images,
    fetch_metadata,
    filter_images,
    filter_metadata,
    pack_highres,
    pack_shards,
)
from workflow.params import read, resolve
from workflow.stages import BY_NAME

GROUP = "group-000"
SETTINGS = ["download_images.resize=null", "pack_shards.min_samples=1"]
MODULES = {
    "fetch_metadata": fetch_metadata,
    "filter_metadata": filter_metadata,
    "download_images": download_images,
    "filter_images": filter_images,
    "deduplicate": deduplicate,
    "pack_shards": pack_shards,
    "pack_highres": pack_highres,
}


def write_images(folder: Path, *, count: int, side: int) -> None:
    """Write smooth pictures with noise, which weigh what photographs do."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (side * 4 // 3, side), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 7, (*smooth.shape[:2], 1))
        picture = np.clip(smooth + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:06d}.jpg", quality=90)


def parameters(root: Path) -> Any:
    """The parameters of scale `vit_l_laion600m`, with a folder of images as the source."""
    tree = read(Path("params.yaml"))
    resolved: Any = resolve(tree, scale="vit_l_laion600m", variant="franca", settings=SETTINGS)
    folder = source_kinds.Folder(kind="folder", root=str(root / "images"), class_subfolders=False)
    fetch = resolved.fetch_metadata.model_copy(update={"source": folder, "groups": 1})
    rows = resolved.filter_metadata.model_copy(update={"thresholds": "franca_paper"})
    highres = resolved.pack_highres.model_copy(update={"sets": {"images": folder}})
    return resolved.model_copy(
        update={
            "fetch_metadata": fetch,
            "filter_metadata": rows,
            "pack_highres": highres,
            "evaluation_sets": {},
        }
    )


def run(name: str, root: Path, *, gather: bool) -> None:
    """Run one stage, or its gathering."""
    cfg, stage = parameters(root), BY_NAME[name]
    folders = {other: root / other for other in MODULES} | {"scenes": root}
    output = root / name
    more: dict[str, Any] = {"seed": 0, **{key: getattr(cfg, key) for key in stage.shared}}
    if gather:
        more["parts"] = {GROUP: output / GROUP}
    elif stage.fan_out:
        more["group"] = GROUP
        folders |= {other: folders[other] / GROUP for other in stage.by_group}
        output /= GROUP
    work = root / "work" / name
    for folder in (output, work):
        folder.mkdir(parents=True, exist_ok=True)
    call = MODULES[name].gather if gather else MODULES[name].run
    call(getattr(cfg, name), **more, inputs=folders, output=output, work=work)


def measure(function: Callable[..., None], *arguments: Any, **options: Any) -> tuple[float, float]:
    """Call a function in a fresh process; return CPU seconds and the peak of memory in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (function, arguments, options))


def _timed(
    function: Callable[..., None], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[float, float]:
    os.environ |= {"FRANCA_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    cv2.setNumThreads(1)
    seconds = cpu_seconds(functools.partial(function, *arguments, **options))
    return seconds, peak_megabytes()


def copy(root: Path) -> None:
    """Copy the shards through memory."""
    for tar in sorted((root / "pack_shards").glob("*.tar")):
        with tar.open("rb") as source, (root / "copy.tar").open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)


def decode(root: Path) -> None:
    """Decode every image and do nothing with it: the limit of what looks at pixels."""
    for file in sorted((root / "images").iterdir()):
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            image.load()


def main() -> int:
    """Measure every stage; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512, help="shorter side, pixels")
    parser.add_argument("--folder", type=Path, help="where files go; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        write_images(root / "images", count=arguments.images, side=arguments.side)
        size = sum(file.stat().st_size for file in (root / "images").iterdir())
        print(f"{arguments.images} images of {size / arguments.images / 1e3:.0f} kB, one thread")
        for name in MODULES:
            for gather in (False, True) if BY_NAME[name].fan_out else (False,):
                seconds, peak = measure(run, name, root, gather=gather)
                rate = (
                    f"{arguments.images / seconds:8.0f} images/s, {size / seconds / 1e6:6.0f} MB/s"
                )
                label = f"{name}, gathering" if gather else name
                print(f"  {label:28} {rate}, {peak:5.0f} MB at most")
        for limit in (decode, copy):
            seconds, _ = measure(limit, root)
            print(f"  {limit.__name__:28} {arguments.images / seconds:8.0f} images/s, "
                  f"{size / seconds / 1e6:6.0f} MB/s")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
