"""Every image of every evaluation set, whatever its layout, so that none is trained on."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from data_filters.config import EvaluationSet

Splits = Literal["held_out", "all"]
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_TRAINING: Final = "train"
_CIFAR_SIDE: Final = 32


class EvaluationImage(NamedTuple):
    """An image of an evaluation set: its place below the root, and its bytes."""

    place: str
    data: bytes


def evaluation_images(
    name: str, declared: EvaluationSet, *, scenes: Path, splits: Splits
) -> Iterator[EvaluationImage]:
    """Yield the images of an evaluation set, in a fixed order.

    Args:
        name: The set's key in the parameters, for errors.
        declared: Where it is and how it is laid out.
        scenes: What `{scenes}` in its root stands for.
        splits: `held_out` leaves out splits whose name begins with "train", unless one is scored.

    Raises:
        FileNotFoundError: The root is not there.
        ValueError: A layout that is not known, or no image where some must be.
    """
    root = Path(declared.root.format(scenes=scenes))
    key = f"evaluation_sets.{name}"
    if declared.format not in LAYOUTS:
        raise ValueError(
            f"{key}.format: {declared.format!r} cannot be indexed for decontamination, and a set "
            f"that is not indexed may leak into training; known are {', '.join(sorted(LAYOUTS))}"
        )
    layout = LAYOUTS[declared.format]
    if not root.is_dir():
        raise FileNotFoundError(
            f"{key}.root: no folder {declared.root!r}; expected {layout.expected}. Set {key}.root "
            "to where your copy is, or remove the set"
        )
    empty = True
    for image in layout.images(root, indexed_splits(declared, splits)):
        empty = False
        yield image
    if empty:
        raise ValueError(
            f"{key}: no image found in {declared.root!r} (splits: {splits}); expected "
            f"{layout.expected}"
        )


def indexed_splits(declared: EvaluationSet, splits: Splits) -> Splits:
    """Which splits of a set are indexed: a training split, too, where that is what is scored."""
    return "all" if declared.test_split.startswith(_TRAINING) else splits


def _wanted(split: str, splits: Splits) -> bool:
    return splits == "all" or not split.startswith(_TRAINING)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _read(root: Path, files: list[Path]) -> Iterator[EvaluationImage]:
    for file in files:
        yield EvaluationImage(file.relative_to(root).as_posix(), file.read_bytes())


def _parquet(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    for path in sorted(root.glob("*.parquet")):
        if not _wanted(path.name, splits):
            continue
        with pq.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=256, columns=["image"]):
                for image in batch.column("image").to_pylist():
                    yield EvaluationImage(f"{path.name}#{row}", image["bytes"])
                    row += 1


def _folder(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    files = _files(root)
    yield from _read(
        root, [path for path in files if _wanted(path.relative_to(root).parts[0], splits)]
    )


def _names(lists: Path, splits: Splits) -> set[str] | None:
    """Read the names in the split files of a VOC or DAVIS set; None where it has none."""
    files = sorted(lists.glob("*.txt")) if lists.is_dir() else []
    if not files or splits == "all":
        return None
    return {
        line.split()[0]
        for file in files
        if _wanted(file.stem, splits)
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }


def _voc(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    names = _names(root / "ImageSets" / "Segmentation", splits)
    folder = root / "JPEGImages"

    def listed(path: Path) -> bool:
        return names is None or path.relative_to(folder).with_suffix("").as_posix() in names

    yield from _read(root, [path for path in _files(folder) if listed(path)])


def _parts(root: Path, splits: Splits, *, folder: str) -> Iterator[EvaluationImage]:
    """Yield the images of sets whose parts are folders of images beside others of labels."""
    parts = (path for path in (root / folder).glob("*") if path.name != "annotations")
    wanted = [path for path in parts if _wanted(path.name, splits)]
    yield from _read(root, sorted(file for part in wanted for file in _files(part)))


def _voc_detection(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    del splits  # discovery is scored on `trainval`
    yield from _read(root, _files(root / "JPEGImages"))


def _openood(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    del splits  # novel images are there to be scored
    known = root / "images_largescale" / "imagenet_1k"
    folders = (root / "images_largescale", root / "images_classic")
    files = [path for folder in folders for path in _files(folder)]
    yield from _read(root, [path for path in files if known not in path.parents])


def _davis(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    names = _names(root / "ImageSets" / "2017", splits)
    files = _files(root / "JPEGImages")
    yield from _read(root, [path for path in files if names is None or path.parent.name in names])


def _pairs(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    del splits  # correspondences have no training split
    pairs = json.loads((root / "pairs.json").read_text(encoding="utf-8"))
    names = sorted({pair[side] for pair in pairs for side in ("source", "target")})
    yield from _read(root, [root / name for name in names])


def _everything(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    """Yield every image below the root, where lists and not folders tell the splits apart."""
    del splits
    yield from _read(root, _files(root))


def _cifar(root: Path, splits: Splits, *, label_bytes: int) -> Iterator[EvaluationImage]:
    row = label_bytes + 3 * _CIFAR_SIDE**2
    for path in sorted(root.glob("*.bin")):
        if not _wanted(path.name.replace("data_batch", _TRAINING), splits):
            continue
        every = np.fromfile(path, dtype=np.uint8).reshape(-1, row)[:, label_bytes:]
        planes = every.reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE).transpose(0, 2, 3, 1)
        for number, pixels in enumerate(planes):
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
            yield EvaluationImage(f"{path.name}#{number}", buffer.getvalue())


def _views(root: Path, splits: Splits) -> Iterator[EvaluationImage]:
    del splits  # what is seen from one side is scored from another
    files = _files(root)  # beside them lie pictures of depth
    yield from _read(root, [path for path in files if path.parent.name in {"images", "color"}])


class Layout(NamedTuple):
    """How to find the images of a set, and how to say it to a person."""

    images: Callable[[Path, Splits], Iterator[EvaluationImage]]
    expected: str


LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        "parquet": Layout(_parquet, "<split>-*.parquet with a column image {bytes, path}"),
        "folder": Layout(_folder, "image files, optionally <split>/<class>/<file>"),
        "openood": Layout(_openood, "images_largescale/ and images_classic/ of OpenOOD v1.5"),
        "voc": Layout(_voc, "JPEGImages/ and ImageSets/Segmentation/<split>.txt"),
        **{
            name: Layout(partial(_parts, folder="images"), "images/<split>/ of the challenge")
            for name in ("ade20k", "ade20k_other")
        },
        **{
            name: Layout(partial(_parts, folder="."), "<split>/<image>.jpg, as COCO's archives")
            for name in ("coco_stuff", "coco_things")
        },
        "cityscapes": Layout(partial(_parts, folder="leftImg8bit"), "leftImg8bit/<split>/<city>/"),
        "voc_detection": Layout(_voc_detection, "JPEGImages/ and ImageSets/Main/<split>.txt"),
        "davis": Layout(_davis, "JPEGImages/<resolution>/<sequence>/ and ImageSets/2017/"),
        "pairs": Layout(_pairs, "pairs.json and the images it names"),
        "spair": Layout(_voc_detection, "JPEGImages/<class>/"),
        "revisited": Layout(_everything, "gnd_<set>.json and jpg/<image>.jpg"),
        "cifar10": Layout(partial(_cifar, label_bytes=1), "the .bin files of the binary version"),
        "cifar100": Layout(partial(_cifar, label_bytes=2), "the .bin files of the binary version"),
        **{
            name: Layout(_everything, "the images in the folders of its authors")
            for name in (
                "food101", "sun397", "cars", "aircraft", "dtd", "pets", "caltech101", "flowers102",
                "cub200",
            )
        },
        "views": Layout(_views, "<scene>/images/"),
        "navi": Layout(_views, "<object>/<collection>/images/"),
        "scannet": Layout(_views, "<scene>/color/"),
    }
)  # fmt: skip
