"""A small web with everything that goes wrong on the real one, and the six stages run over it."""

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from data_filters import config
from data_filters.groups import group_names
from data_filters.stages import (
    deduplicate,
    download_images,
    fetch_metadata,
    filter_images,
    filter_metadata,
    pack_shards,
)
from workflow.stages import BY_NAME

KEPT = ("pack_shards", None, None)
PATIENCE = ("flaky", "busy_once", "moved", "mistyped", "opt_out_other")
"""What a server may do and still hand over the image."""

WEB_FAULTS = {
    "not_found": "http_404",
    "gone": "http_410",
    "forbidden": "http_403",
    "broken": "http_500",
    "busy": "http_429",
    "timeout": "timeout",
    "slow": "timeout",
    "html": "not_an_image",
    "opt_out": "opted_out",
    "opt_out_named": "opted_out",
    "opt_out_tdm": "opted_out",
    "redirect_private": "private_address",
    "redirect_file": "scheme_not_allowed",
    "redirect_loop": "redirect_loop",
    "incomplete": "incomplete",
    "reset": "connection",
    "endless": "too_many_bytes",
}
STAGES = {
    "fetch_metadata": fetch_metadata,
    "filter_metadata": filter_metadata,
    "download_images": download_images,
    "filter_images": filter_images,
    "deduplicate": deduplicate,
    "pack_shards": pack_shards,
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "fetch_metadata": {"source": {"kind": "embedded"}, "groups": 2},
    "filter_metadata": {
        "thresholds": "relaion_600m",
        "allowed_schemes": ["http", "https"],
        "denied_domains": ["denied.org"],
        "denied_url_patterns": [],
        "deny_lists": [],
        "drop_repeated_urls": True,
        "sample_fraction": 1.0,
    },
    "download_images": {
        "distributor": "multiprocessing",
        "rows_per_shard": 20,
        "shards_per_process": 50,
        "threads": 8,
        "max_per_host": 8,
        "max_idle_connections": 8,
        "max_idle_seconds": 5.0,
        "timeout_seconds": 1.5,
        "total_timeout_seconds": 2.0,
        "hang_seconds": 30.0,
        "worker_restarts": 1,
        "max_bytes": 200_000,
        "max_pixels": 1_000_000,
        "retries": 1,
        "backoff_seconds": 0.1,
        "max_backoff_seconds": 2.0,
        "dns_cache_seconds": 60.0,
        "allowed_networks": ["127.0.0.0/8"],
        "user_agent": "franca",
        "robots_txt": True,
        "verify_md5": True,
        "resize": None,
        "min_success_rate": 0.3,
    },
    "filter_images": {
        "max_pixels": 1_000_000,
        "allow_animated": False,
        "min_side": 32,
        "max_aspect_ratio": 3.0,
        "min_entropy": 1.0,
        "min_sharpness": None,
        "max_unreadable_rate": 0.5,
        "models": [],
        "device": "cpu",
        "batch_size": 4,
    },
    "deduplicate": {
        "near_duplicate_radius": 6,
        "evaluation_radius": 6,
        "min_contrast": 5.0,
        "mirrored": False,
        "evaluation_mirrored": True,
        "evaluation_crops": [0.05],
        "semantic": None,
        "evaluation_splits": "held_out",
    },
    "pack_shards": {"samples_per_shard": 6, "min_samples": 1},
}


def section(stage: str, **changes: Any) -> Any:
    name = "".join(word.capitalize() for word in stage.split("_"))
    return getattr(config, name).model_validate({**PARAMETERS[stage], **changes})


@dataclass(frozen=True)
class World:
    """The small web: where it lies, and what must become of each row (stage, filter, reason)."""

    folder: Path
    fates: dict[str, tuple[str, str | None, str | None]]

    @property
    def evaluation_sets(self) -> dict[str, Any]:
        return {
            "held": SimpleNamespace(
                root="{scenes}/held", kind="knn", format="folder", test_split="val"
            )
        }


@dataclass(frozen=True)
class Chain:
    """Published folders of a run of stages, and the work folder it used."""

    folders: dict[str, Path]
    summaries: dict[str, dict[str, Any]]
    work: Path

    def table(self, stage: str, name: str) -> list[dict[str, Any]]:
        return pq.read_table(self.folders[stage] / name).to_pylist()

    def tables(self, stage: str, pattern: str) -> list[dict[str, Any]]:
        """The rows of all tables that match, in the order of their names."""
        files = sorted(self.folders[stage].glob(pattern))
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def funnel(self, stage: str) -> dict[str, dict[str, int]]:
        accounts = json.loads((self.folders[stage] / "funnel.json").read_text())
        return {account["filter"]: account["reasons"] for account in accounts}


def run_stages(
    world: World, place: Path, *, names: list[str] | None = None, inputs: Any = None, **changes: Any
) -> Chain:
    """Run some stages in order, group by group; `changes` maps a stage to changed parameters."""
    folders = {"scenes": world.folder, **(inputs or {})}
    summaries = {}
    fetch = section("fetch_metadata", **changes.get("fetch_metadata", {}))
    shared = {"fetch_metadata": fetch, "evaluation_sets": world.evaluation_sets}
    for name in names or STAGES:
        output, work = place / "artifacts" / name, place / "work" / name
        shutil.rmtree(output, ignore_errors=True)
        cfg = section(name, **changes.get(name, {}))
        more = {"seed": 0, **{key: shared[key] for key in BY_NAME[name].shared}}
        if BY_NAME[name].fan_out == "group":
            groups = [*group_names(fetch.groups)]
            for group in groups:
                part, state = _folders(output / group, work / group)
                near = {
                    other: folder / group if other in BY_NAME[name].by_group else folder
                    for other, folder in folders.items()
                }
                STAGES[name].run(cfg, **more, group=group, inputs=near, output=part, work=state)
            more["parts"] = {group: output / group for group in groups}
        stage = STAGES[name].gather if "parts" in more else STAGES[name].run
        _folders(output, work)
        summaries[name] = stage(cfg, **more, inputs=folders, output=output, work=work)
        folders[name] = output
    return Chain(folders, summaries, place / "work")


def _folders(*folders: Path) -> tuple[Path, ...]:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def again(data: bytes, *, scale: float = 1.0, quality: int = 80) -> bytes:
    image = Image.open(io.BytesIO(data))
    size = (round(scale * image.width), round(scale * image.height))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = (30_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.fixture(scope="session")
def world(tmp_path_factory, picture, jpeg, encode) -> World:
    builder = WorldBuilder(tmp_path_factory.mktemp("world"))
    _plant_good(builder, jpeg, picture, encode)
    _plant_web_faults(builder, jpeg)
    _plant_unfit_images(builder, jpeg, picture, encode)
    _plant_unfit_rows(builder, jpeg)
    _plant_copies(builder, jpeg)
    return builder.build()


class WorldBuilder:
    """A small web in the making: rows, the images behind them, faults, and what must come of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "origin" / "images").mkdir(parents=True)
        self.rows: list[dict[str, Any]] = []
        self.faults: dict[str, str] = {}
        self.fates: dict[str, tuple[str, str | None, str | None]] = {}

    def add(
        self, name: str, data: bytes | None, fate: Any, *, fault: Any = None, **row: Any
    ) -> None:
        url = row.pop("url", f"http://{{origin}}/images/{name}")
        if data is not None:
            (self.folder / "origin" / "images" / name).write_bytes(data)
        if fault:
            self.faults[f"/images/{name}"] = fault
        self.rows.append(
            {
                "url": url,
                "caption": f"caption of {name}",
                "similarity": 0.3,
                "pwatermark": 0.1,
                "punsafe": 0.01,
                "status": "success",
                "original_width": 640,
                "original_height": 480,
                "md5": hashlib.md5(data).hexdigest() if data else None,
                **row,
            }
        )
        self.fates[url] = fate

    def build(self) -> World:
        origin = self.folder / "origin"
        pq.write_table(pa.Table.from_pylist(self.rows), origin / "metadata.parquet")
        (origin / "faults.json").write_text(json.dumps(self.faults))
        (origin / "robots.txt").write_text("User-agent: img2dataset\nDisallow: /images/private\n")
        return World(self.folder, self.fates)


def _plant_good(builder: WorldBuilder, jpeg: Any, picture: Any, encode: Any) -> None:
    for index in range(12):
        builder.add(f"good-{index:02}.jpg", jpeg(index), KEPT)
    builder.add("good.png", encode(picture(20), "PNG"), KEPT)
    builder.add("good.webp", encode(picture(21), "WEBP"), KEPT)
    for index, fault in enumerate(PATIENCE):
        builder.add(f"{fault} 1.jpg", jpeg(70 + index), KEPT, fault=fault)
    builder.add("no-md5.jpg", jpeg(23), KEPT, md5=None)


def _plant_web_faults(builder: WorldBuilder, jpeg: Any) -> None:
    def lost(reason: str) -> tuple[str, str, str]:
        return ("download_images", "download", reason)

    for fault, reason in WEB_FAULTS.items():
        builder.add(f"{fault}.jpg", jpeg(30), lost(reason), fault=fault)
    builder.add("private.jpg", jpeg(30), lost("robots_denied"))
    builder.add("nowhere.jpg", None, lost("http_404"))
    builder.add("empty.jpg", b"", lost("empty"))
    builder.add("changed.jpg", jpeg(31), lost("md5_mismatch"), md5="0" * 32)
    builder.add("x", None, lost("private_address"), url="http://10.0.0.7/a.jpg")
    builder.add("x", None, lost("connection"), url="http://127.0.0.1:1/a.jpg")
    builder.add("x", None, lost("bad_url"), url="http://127.0.0.1:99999/a.jpg")


def _plant_unfit_images(builder: WorldBuilder, jpeg: Any, picture: Any, encode: Any) -> None:
    def drop(name: str, reason: str) -> tuple[str, str, str]:
        return ("filter_images", name, reason)

    cut = jpeg(40)[: len(jpeg(40)) // 2]
    frames = [Image.fromarray(picture(index)) for index in (41, 42)]
    moving = io.BytesIO()
    frames[0].save(moving, "WEBP", save_all=True, append_images=frames[1:])
    still = io.BytesIO()
    frames[0].save(still, "GIF")
    gif = ("download_images", "download", "format_not_supported")
    builder.add("cut.jpg", cut, drop("decoding", "truncated"))
    builder.add("bomb.png", bomb(), drop("header", "too_many_pixels"))
    builder.add("moving.webp", moving.getvalue(), drop("animation", "animated"))
    builder.add("still.gif", still.getvalue(), gif)
    builder.add("small.jpg", jpeg(43, width=31, height=40), drop("shape", "side_too_short"))
    builder.add("long.jpg", jpeg(44, width=193, height=64), drop("shape", "too_elongated"))
    blank = np.full((48, 64, 3), 90, np.uint8)
    builder.add("blank.jpg", encode(blank), drop("uniformity", "near_uniform"))


def _plant_unfit_rows(builder: WorldBuilder, jpeg: Any) -> None:
    def drop(name: str, reason: str) -> tuple[str, str, str]:
        return ("filter_metadata", name, reason)

    builder.add("unsafe.jpg", jpeg(50), drop("unsafe", "probably_unsafe"), punsafe=0.5)
    builder.add("mark.jpg", jpeg(51), drop("watermark", "probably_watermarked"), pwatermark=0.9)
    builder.add("tiny.jpg", jpeg(52), drop("size", "side_too_short"), original_width=255)
    builder.add("wide.jpg", jpeg(53), drop("aspect", "too_elongated"), original_width=1441)
    builder.add("x", None, drop("address", "scheme_not_allowed"), url="file:///etc/hostname")
    builder.add("x", None, drop("address", "domain_denied"), url="http://www.denied.org/a.jpg")
    url = "http://{origin}/images/good-00.jpg"
    builder.add("x", None, KEPT, url=url, caption="zzz: sorts after the first row of this URL")


def _plant_copies(builder: WorldBuilder, jpeg: Any) -> None:
    def drop(reason: str) -> tuple[str, str, str]:
        return ("deduplicate", "duplicates", reason)

    def leak(reason: str) -> tuple[str, str, str]:
        return ("deduplicate", "evaluation_sets", reason)

    png = io.BytesIO()
    Image.open(io.BytesIO(jpeg(1))).save(png, "PNG")
    # the PNG is the larger file of the same picture, so it is the one that stays
    builder.add("same-pixels.png", png.getvalue(), KEPT)
    builder.fates["http://{origin}/images/good-01.jpg"] = drop("same_pixels")
    builder.add("smaller.jpg", again(jpeg(2), scale=0.8), drop("near_duplicate"))
    held = builder.folder / "held" / "val"
    held.mkdir(parents=True)
    for index in (60, 61):
        (held / f"{index}.jpg").write_bytes(jpeg(index, width=96, height=72))
    builder.add("leak.jpg", jpeg(60, width=96, height=72), leak("same_bytes"))
    similar = again(jpeg(61, width=96, height=72), scale=0.9)
    builder.add("leak-again.jpg", similar, leak("near_duplicate"))
    held_image = Image.open(held / "60.jpg")
    width, height = held_image.size
    crop = (round(0.05 * width), round(0.05 * height), width, height)
    for name, image in {
        "mirrored": ImageOps.mirror(held_image),
        "cropped": held_image.crop(crop),
        "cropped-mirrored": ImageOps.mirror(held_image.crop(crop)),
    }.items():
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        builder.add(f"leak-{name}.jpg", buffer.getvalue(), leak("near_duplicate"))


@pytest.fixture(scope="session")
def chain(world, tmp_path_factory) -> Chain:
    """All six stages, run once."""
    return run_stages(world, tmp_path_factory.mktemp("chain"))


@pytest.fixture
def stages() -> Callable[..., Chain]:
    return run_stages


@pytest.fixture(scope="session", name="bomb")
def bomb_bytes() -> bytes:
    return bomb()


@pytest.fixture(scope="session")
def web_faults() -> dict[str, str]:
    """What a server may do instead, and the reason under which its row is on the books."""
    return WEB_FAULTS


@pytest.fixture(scope="session")
def patience() -> tuple[str, ...]:
    return PATIENCE


@pytest.fixture(scope="session")
def new_world() -> Callable[[Path], WorldBuilder]:
    return WorldBuilder


@pytest.fixture
def parameters() -> dict[str, dict[str, Any]]:
    return PARAMETERS
