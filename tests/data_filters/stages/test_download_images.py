"""Downloads over real HTTP: faults and resizing; test_web_of_faults has the kills."""

import io

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
