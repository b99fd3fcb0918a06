"""Local collections are copied into the layout of a download."""

import pyarrow.parquet as pq
import pytest

from data_filters.download.copy import copy_shards
from data_filters.download.plan import plan_shards
from data_filters.io.raw_images import images
from data_filters.io.tar import write_tar
from data_filters.source_kinds import Folder, Webdataset


@pytest.fixture
def folder(tmp_path, jpeg):
    root = tmp_path / "images"
    root.mkdir()
    for number in range(5):
        (root / f"{number}.jpg").write_bytes(jpeg(number))
    return Folder(kind="folder", root=str(root), class_subfolders=False)


def copy(source, plans, tmp_path):
    copy_shards(source, plans, folder=tmp_path / "raw", key="fetch_metadata.source")
    tables = sorted((tmp_path / "raw").glob("*.parquet"))
    return {row_id: data for table in tables for row_id, _, data in images(table)}


def test_only_wanted_rows_are_copied_with_their_bytes(folder, tmp_path, metadata_part, jpeg):
    part = metadata_part([{"url": None, "path": f"{n}.jpg"} for n in range(5)])
    table = pq.read_table(part)
    kept = table.filter([[True, False, True, True, False]][0])
    pq.write_table(kept, part)
    plans = plan_shards([part], rows_per_shard=2)
    copied = copy(folder, plans, tmp_path)
    assert copied == dict(zip(kept["row_id"].to_pylist(), [jpeg(0), jpeg(2), jpeg(3)], strict=True))
    first = (tmp_path / "raw" / "shard-000000.tar").stat().st_mtime_ns
    (tmp_path / "raw" / "shard-000001.parquet").unlink()
    assert copy(folder, plans, tmp_path) == copied
    assert (tmp_path / "raw" / "shard-000000.tar").stat().st_mtime_ns == first


def test_a_source_that_has_changed_is_noticed(folder, tmp_path, metadata_part):
    for path, message in {"9.jpg": "holds '0.jpg' where fetch_metadata listed '9.jpg'"}.items():
        part = metadata_part([{"url": None, "path": path}], part=0)
        with pytest.raises(ValueError, match=message):
            copy(folder, plan_shards([part], rows_per_shard=2), tmp_path)
    longer = metadata_part([{"url": None, "path": f"{n}.jpg"} for n in range(6)], part=0)
    with pytest.raises(ValueError, match=r"ends before '5\.jpg'"):
        copy(folder, plan_shards([longer], rows_per_shard=9), tmp_path)
    other = metadata_part([{"url": None, "path": "0.jpg"}], part=1)
    with pytest.raises(
        ValueError, match="has 1 parts, but part 1 was listed by fetch_metadata: it changed"
    ):
        copy(folder, plan_shards([other], rows_per_shard=9), tmp_path)


def test_what_a_source_cannot_give_has_a_reason(tmp_path, metadata_part, jpeg):
    root = tmp_path / "tars"
    root.mkdir()
    write_tar(root / "x.tar", [("a.jpg", jpeg(0)), ("b.txt", b"no image"), ("c.jpg", jpeg(1))])
    data = (root / "x.tar").read_bytes()
    (root / "x.tar").write_bytes(data[: 512 + len(jpeg(0)) + 512 + 512 + 512 + 512 + 600])
    source = Webdataset(kind="webdataset", root=str(root), files="*.tar")
    part = metadata_part([{"url": None, "path": f"x.tar#{name}"} for name in "abc"])
    copy(source, plan_shards([part], rows_per_shard=9), tmp_path)
    rows = pq.read_table(tmp_path / "raw" / "shard-000000.parquet").to_pylist()
    assert {(row["reason"], row["detail"]) for row in rows} == {
        (None, None), ("image_missing", "x.tar#b"), ("truncated_tar", "x.tar#c"),
    }  # fmt: skip
