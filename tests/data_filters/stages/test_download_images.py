"""Downloads over real HTTP: faults, resizing, a kill at any moment."""

import io
import json
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_filters.io.raw_images import images

NAMES = ["fetch_metadata", "filter_metadata"]


def test_original_bytes_are_kept(chain, world):
    kept = {row["row_id"]: row for row in chain.tables("filter_metadata", "*/kept/*.parquet")}
    tables = sorted(chain.folders["download_images"].glob("*/raw/*.parquet"))
    arrived = {row_id: data for table in tables for row_id, _, data in images(table)}
    for row_id, data in arrived.items():
        name = kept[row_id]["url"].rpartition("/")[2]
        assert data == (world.folder / "origin" / "images" / name).read_bytes()
    assert len(tables) > 1
    assert len(arrived) == chain.summaries["download_images"]["arrived"]


def test_every_row_is_in_the_table_with_a_reason_or_a_place(chain):
    rows = chain.tables("download_images", "*/raw/*.parquet")
    kept = {row["row_id"] for row in chain.tables("filter_metadata", "*/kept/*.parquet")}
    assert sorted(row["row_id"] for row in rows) == sorted(kept)  # repeated URLs only once
    for row in rows:
        assert (row["reason"] is None) == row["kept"] == (row["sha256"] is not None)


def test_too_little_success_stops_the_pipeline(chain, world, stages, tmp_path):
    inputs = {name: chain.folders[name] for name in NAMES}
    for group in ("group-000", "group-001"):
        work = tmp_path / "work" / "download_images" / group
        work.mkdir(parents=True)
        (work / "raw").symlink_to(chain.work / "download_images" / group / "raw")
    with pytest.raises(
        ValueError, match=r"rows arrived .*min_success_rate 99\.0% .*most often"
    ) as e:
        stages(
            world, tmp_path, names=["download_images"], inputs=inputs,
            download_images={"min_success_rate": 0.99},
        )  # fmt: skip
    assert "\n" not in str(e.value)


def test_the_loopback_must_be_allowed(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"add 127\.0\.0\.0/8 to download_images\.allowed"):
        stages(
            world, tmp_path, names=["download_images"], inputs=chain.folders,
            download_images={"allowed_networks": []},
        )  # fmt: skip


@pytest.mark.slow
def test_large_images_are_shrunk_and_small_jpegs_keep_their_bytes(
    chain, world, stages, tmp_path, jpeg
):
    resize = {"mode": "keep_ratio", "size": 48, "quality": 90}
    inputs = {name: chain.folders[name] for name in NAMES}
    shrunk = stages(
        world,
        tmp_path,
        names=["download_images"],
        inputs=inputs,
        download_images={"resize": resize},
    )
    kept = {row["row_id"]: row for row in chain.tables("filter_metadata", "*/kept/*.parquet")}
    tables = sorted(shrunk.folders["download_images"].glob("*/raw/*.parquet"))
    arrived = {
        kept[row_id]["url"].rpartition("/")[2]: data
        for table in tables
        for row_id, _, data in images(table)
    }
    assert arrived["good-00.jpg"] == jpeg(0)  # 64x48
    assert Image.open(io.BytesIO(arrived["leak.jpg"])).size == (64, 48)  # was 96x72
    rows = [row for table in tables for row in pq.read_table(table).to_pylist()]
    by_name = {kept[row["row_id"]]["url"].rpartition("/")[2]: row for row in rows}
    # checksums are of what was sent, not of what was made of it
    assert by_name["changed.jpg"]["reason"] == "md5_mismatch"
    assert by_name["leak.jpg"]["kept"]
    assert by_name["bomb.png"]["reason"] == "undecodable"


SCRIPT = """
import json, sys
from pathlib import Path
from data_filters.config import DownloadImages, FetchMetadata
from data_filters.stages import download_images
order = json.loads(sys.argv[1])
download_images.run(
    DownloadImages(**order["cfg"]), seed=0, fetch_metadata=FetchMetadata(**order["fetch"]),
    group="group-000",
    inputs={k: Path(v) for k, v in order["inputs"].items()},
    output=Path(order["output"]), work=Path(order["work"]),
)
"""


def run_until(condition, command):
    """Start a process, and kill it without mercy as soon as the condition holds."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not condition():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_download_continues_and_ends_with_the_same_bytes(
    chain, world, stages, tmp_path, parameters, monkeypatch
):
    monkeypatch.setenv("FRANCA_WORKERS", "1")
    inputs = {name: chain.folders[name] for name in (*NAMES, "scenes")}
    raw = tmp_path / "work" / "download_images" / "group-000" / "raw"
    order = {
        "cfg": parameters["download_images"],
        "fetch": parameters["fetch_metadata"],
        "inputs": {name: str(folder) for name, folder in inputs.items()},
        "output": str(tmp_path / "killed"),
        "work": str(raw.parent),
    }
    first = raw / "shard-000000.parquet"
    run_until(first.exists, [sys.executable, "-c", SCRIPT, json.dumps(order)])
    assert not (tmp_path / "killed").exists()
    made = first.stat().st_mtime_ns
    resumed = stages(world, tmp_path, names=["download_images"], inputs=inputs)
    assert first.stat().st_mtime_ns == made
    for table in sorted((chain.folders["download_images"]).rglob("*.*")):
        twin = resumed.folders["download_images"] / table.relative_to(
            chain.folders["download_images"]
        )
        assert twin.read_bytes() == table.read_bytes(), table.name
