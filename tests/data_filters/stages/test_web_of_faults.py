"""Two thousand URLs of which a quarter go wrong, and stages that are killed ten times."""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROWS = 2000
KEPT = ("pack_shards", None, None)
DOWNLOAD = {"rows_per_shard": 250, "threads": 48, "max_per_host": 48, "timeout_seconds": 2.0,
            "total_timeout_seconds": 3.0}  # fmt: skip


def lost(reason):
    return ("download_images", "download", reason)


def unusual(kind, pixels):
    """Encode a picture in a way that trainers stumble over, though nothing is wrong with it."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if kind == "cmyk.jpg":
        image.convert("CMYK").save(buffer, "JPEG", quality=92)
    elif kind == "grey.jpg":
        image.convert("L").save(buffer, "JPEG", quality=92)
    elif kind == "sixteen-bit.png":
        deep = np.asarray(image.convert("L"), dtype=np.uint16) * 257
        Image.fromarray(deep).save(buffer, "PNG")
    elif kind == "alpha.png":
        image.putalpha(200)
        image.save(buffer, "PNG")
    elif kind == "rotated.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(buffer, "JPEG", quality=92, exif=exif)
    return buffer.getvalue()


def animated(pixels, kind):
    frames, buffer = [Image.fromarray(each) for each in pixels], io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.fixture(scope="module")
def large_web(tmp_path_factory, large_world):
    return large_world(tmp_path_factory.mktemp("large"), rows=ROWS)


@pytest.fixture(scope="module")
def large_world(new_world, picture, jpeg, web_faults, patience, bomb):
    """A quarter of the rows in equal shares of every kind of fault, the rest sound images."""

    def make(folder, *, rows, stalling=True):
        builder = new_world(folder)
        held = folder / "held" / "val"
        held.mkdir(parents=True)
        (held / "0.jpg").write_bytes(jpeg(999_999, width=96, height=72))
        unreadable = ("filter_images", "decoding", "truncated")
        bytes_of = {
            "zero": (lambda _: b"", lost("empty")),
            "page": (lambda _: b"<!doctype html><p>gone", lost("not_an_image")),
            "gif": (lambda n: animated([picture(n), picture(n + 1)], "GIF"),
                    lost("format_not_supported")),
            "webp": (lambda n: animated([picture(n), picture(n + 1)], "WEBP"),
                     ("filter_images", "animation", "animated")),
            "cut": (lambda n: jpeg(n)[: len(jpeg(n)) // 2], unreadable),
            "bomb": (lambda _: bomb, ("filter_images", "header", "too_many_pixels")),
        }  # fmt: skip
        unusual_kinds = ("cmyk.jpg", "grey.jpg", "sixteen-bit.png", "alpha.png", "rotated.jpg")
        faults = [f for f in web_faults if stalling or f not in ("timeout", "slow")]
        kinds = [*faults, *patience, *bytes_of, *unusual_kinds, "private", "changed"]
        for number in range(rows // 4):
            kind, index = kinds[number % len(kinds)], 10_000 + 2 * number
            if kind in web_faults:
                fate = lost(web_faults[kind])
                builder.add(f"{number}-{kind}.jpg", jpeg(index), fate, fault=kind)
            elif kind in patience:
                builder.add(f"{number}-{kind}.jpg", jpeg(index), KEPT, fault=kind)
            elif kind in bytes_of:
                make_bytes, fate = bytes_of[kind]
                builder.add(f"{number}-{kind}.jpg", make_bytes(index), fate)
            elif kind in unusual_kinds:
                builder.add(f"{number}-{kind}", unusual(kind, picture(index)), KEPT)
            elif kind == "private":
                builder.add(f"private-{number}.jpg", jpeg(index), lost("robots_denied"))
            else:
                fate = lost("md5_mismatch")
                builder.add(f"{number}.jpg", jpeg(index), fate, md5="0" * 32)
        assert len(kinds) >= 15
        for number in range(rows // 4, rows):
            builder.add(f"{number}.jpg", jpeg(number), KEPT)
        return builder.build()

    return make


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_every_row_is_accounted_for_and_every_good_image_is_there_twice_the_same(
    large_web, stages, tmp_path, monkeypatch
):
    monkeypatch.setenv("FRANCA_WORKERS", "2")
    pack = {"samples_per_shard": 500}
    one = stages(large_web, tmp_path / "one", download_images=DOWNLOAD, pack_shards=pack)
    ledger = one.table("pack_shards", "ledger.parquet")
    assert len(ledger) == ROWS
    found = {row["url"]: (row["stage"], row["filter"], row["reason"]) for row in ledger}
    wrong = {url: (found[url], fate) for url, fate in large_web.fates.items() if found[url] != fate}
    assert wrong == {}
    images = large_web.folder / "origin" / "images"
    names = {row["key"]: row["url"].rpartition("/")[2] for row in
             one.table("pack_shards", "manifest.parquet")}  # fmt: skip
    index = one.table("pack_shards", "index.parquet")
    assert len(index) == sum(fate == KEPT for fate in large_web.fates.values())
    for row in index:
        tar = one.folders["pack_shards"] / f"shard-{row['shard']:06d}.tar"
        with tar.open("rb") as file:
            file.seek(row["offset"])
            assert file.read(row["size"]) == (images / names[row["key"]]).read_bytes()
    monkeypatch.setenv("FRANCA_WORKERS", "1")
    other = {**DOWNLOAD, "threads": 64}
    stages(large_web, tmp_path / "two", download_images=other, pack_shards=pack)
    assert digests(tmp_path / "two" / "artifacts") == digests(tmp_path / "one" / "artifacts")


SCRIPT = """
import json, sys
from pathlib import Path
from tests.data_filters.stages.conftest import World, run_stages
order = json.loads(sys.argv[1])
run_stages(
    World(Path(order["web"]), {}), Path(order["place"]), names=[order["stage"]],
    inputs={name: Path(path) for name, path in order["inputs"].items()}, **order["changes"],
)
"""
ROOT = Path(__file__).parents[3]
KILLS = {"download_images": 4, "filter_images": 2, "deduplicate": 2, "pack_shards": 2}
LONGEST = {"download_images": 3.0, "filter_images": 0.5, "deduplicate": 0.5, "pack_shards": 0.4}
"""Seconds after a stage began in which it is killed; sooner, where it ended before."""


def run_and_kill(order, *, after):
    """Kill a stage, with all of its processes, some seconds after it began; return whether."""
    output = Path(order["place"]) / "artifacts" / order["stage"]
    shutil.rmtree(output, ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(order)],
        cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        while process.poll() is None and not output.exists():
            time.sleep(0.01)
        time.sleep(after)
        assert not process.poll(), f"{order['stage']} failed by itself"
        return process.returncode is None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_ten_kills_at_random_moments_of_the_stages_change_no_byte(
    large_world, stages, tmp_path, monkeypatch
):
    monkeypatch.setenv("FRANCA_WORKERS", "1")
    web = large_world(tmp_path / "web", rows=160, stalling=False)
    slowly = {"rows_per_shard": 10, "threads": 1, "max_bytes": 20_000, "max_backoff_seconds": 1.0}
    changes = {
        "fetch_metadata": {"groups": 1}, "download_images": slowly,
        "pack_shards": {"samples_per_shard": 20},
    }  # fmt: skip
    undisturbed = stages(web, tmp_path / "undisturbed", **changes)
    place, draw = tmp_path / "killed", random.Random(0)
    inputs = {name: undisturbed.folders[name] for name in ("fetch_metadata", "filter_metadata")}
    for stage, kills in KILLS.items():
        order = {
            "web": str(web.folder), "place": str(place), "stage": stage, "changes": changes,
            "inputs": {name: str(path) for name, path in inputs.items()},
        }  # fmt: skip
        for _ in range(kills):
            after = draw.uniform(0.0, LONGEST[stage])
            while not run_and_kill(order, after=after):
                after /= 2
        resumed = stages(web, place, names=[stage], inputs=inputs, **changes)
        inputs[stage] = resumed.folders[stage]
        assert digests(inputs[stage]) == digests(undisturbed.folders[stage]), stage
