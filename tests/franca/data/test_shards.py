"""Shards: the packed bytes come back by number, and any damage is one clear line."""

import io
import os
import pickle
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from franca.data import shards
from franca.data.decode import UndecodableImageError
from franca.data.shards import DamagedShardError, Location, Reader, ShardDataset


def test_reads_what_tar_reads(packed):
    """Random access through the index gives the members that any tar reader finds."""
    members = {}
    for path in sorted(packed.glob("*.tar")):
        with tarfile.open(path) as tar:
            members |= {m.name: tar.extractfile(m).read() for m in tar if m.name.endswith("jpg")}
    dataset = ShardDataset(packed)
    assert len(dataset) == len(members) == 20
    for i in reversed(range(20)):
        sample = dataset.read(i)
        assert sample.data == members[f"{sample.key}.jpg"]
        assert np.array_equal(sample.decode(), Image.open(io.BytesIO(sample.data)))


def test_no_more_than_the_limit_of_files_stays_open(packed, monkeypatch):
    monkeypatch.setattr(shards, "_MAX_OPEN_FILES", 2)
    dataset = ShardDataset(packed)
    keys = [dataset.read(i).key for _ in range(3) for i in range(20)]
    assert len(dataset._reader._descriptors) == 2
    assert keys == [f"{i:04d}" for i in range(20)] * 3


def test_a_reader_travels_without_its_files(packed):
    dataset = ShardDataset(packed)
    reader = Reader()
    first = reader.read(dataset.locate(3))
    assert pickle.loads(pickle.dumps(reader)).read(dataset.locate(3)) == first


def missing_root(root):
    root.rename(root.with_name("elsewhere"))


def no_index(root):
    (root / "index.parquet").unlink()


def index_is_no_parquet(root):
    (root / "index.parquet").write_text("<html>")


def index_lacks_a_column(root):
    index = pq.read_table(root / "index.parquet")
    pq.write_table(index.drop_columns(["sha256"]), root / "index.parquet")


def empty_index(root):
    index = pq.read_table(root / "index.parquet")
    pq.write_table(index.slice(0, 0), root / "index.parquet")


def missing_shard(root):
    (root / "shard-000001.tar").unlink()


def empty_shard(root):
    (root / "shard-000001.tar").write_bytes(b"")


def truncated_shard(root):
    os.truncate(root / "shard-000002.tar", 3000)


def stranger(root):
    (root / "shard-000009.tar").write_bytes(b"\0" * 1024)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (missing_root, FileNotFoundError, r"packed: no such folder"),
        (no_index, FileNotFoundError, r"index\.parquet: no index"),
        (index_is_no_parquet, DamagedShardError, r"index\.parquet: not a shard index"),
        (index_lacks_a_column, DamagedShardError, r"index\.parquet: not a shard index"),
        (empty_index, DamagedShardError, r"index\.parquet: holds no images"),
        (missing_shard, FileNotFoundError, r"shard-000001\.tar: is in the index but not on disk"),
        (empty_shard, DamagedShardError, r"shard-000001\.tar: is empty"),
        (truncated_shard, DamagedShardError, r"shard-000002\.tar: is truncated \(3000 of"),
        (stranger, DamagedShardError, r"shard-000009\.tar: is on disk but not in the index"),
    ],
)
def test_damage_is_found_on_opening(packed, damage, error, message):
    damage(packed)
    with pytest.raises(error, match=message) as caught:
        ShardDataset(packed)
    assert "franca pack_shards" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_is_found_on_reading(packed):
    dataset = ShardDataset(packed)
    place = dataset.locate(5)
    with place.path.open("r+b") as shard:
        shard.seek(place.offset + 100)
        shard.write(b"\x00\x01\x02")
    with pytest.raises(DamagedShardError, match=r"shard-000000\.tar: .* 0005 .*sha256.*pull"):
        dataset.read(5)
    assert dataset.read(6).key == "0006"


def test_a_shard_cut_after_opening_is_found_on_reading(packed):
    dataset = ShardDataset(packed)
    os.truncate(packed / "shard-000000.tar", 1024)
    with pytest.raises(DamagedShardError, match=r"shard-000000\.tar: 0000 ends after 512 of"):
        dataset.read(0)


def test_bytes_that_are_no_image_name_the_file_and_the_key(make_shards):
    dataset = ShardDataset(make_shards({"a": b"<html>not found</html>"}))
    with pytest.raises(UndecodableImageError, match=r"shard-000000\.tar: a: not an image"):
        dataset.read(0).decode()


def test_a_file_that_vanished_is_named(tmp_path):
    with pytest.raises(DamagedShardError, match=r"gone\.jpg: cannot be read \(No such file"):
        Reader().read(Location(key="gone", path=tmp_path / "gone.jpg"))


def test_columns_of_other_widths_are_read(packed):
    """Other writers give 64-bit integers and dictionary strings; the values are what counts."""
    index = pq.read_table(packed / "index.parquet")
    wide = index.set_column(1, "shard", index["shard"].cast(pa.int64()))
    wide = wide.set_column(0, "key", wide["key"].dictionary_encode())
    expected = [ShardDataset(packed).locate(i) for i in range(20)]
    pq.write_table(wide, packed / "index.parquet")
    assert [ShardDataset(packed).locate(i) for i in range(20)] == expected
