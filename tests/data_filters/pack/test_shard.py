"""Training shards: plain webdataset, bytes that follow from the content."""

import hashlib
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io.tar import write_tar
from data_filters.pack.shard import (
    Sample,
    shard_name,
    write_manifest,
    write_shard,
    write_shards,
)
from data_filters.records import INDEX, MANIFEST, PACKED

STRETCHES = [range(2), range(0), range(2, 3)]


@pytest.fixture
def samples(tmp_path, jpeg, encode, picture):
    images = {"b" * 32: ("jpg", jpeg(0)), "a" * 32: ("png", encode(picture(1), "PNG"))}
    names = sorted((f"{key}.{extension}", data) for key, (extension, data) in images.items())
    members = {m.name: m for m in write_tar(tmp_path / "raw.tar", names)}
    return [
        Sample(
            key=key,
            row_id="r" + key[0],
            url="https://ü.org/1.jpg",
            caption="a „caption“" if key[0] == "a" else None,
            sha256=hashlib.sha256(data).hexdigest(),
            width=64,
            height=48,
            extension=extension,
            tar=tmp_path / "raw.tar",
            offset=members[f"{key}.{extension}"].offset,
            size=len(data),
        )
        for key, (extension, data) in sorted(images.items())
    ]


def test_a_shard_is_a_plain_webdataset(samples, tmp_path, jpeg):
    offsets = write_shard(samples, tmp_path / shard_name(3))
    with tarfile.open(tmp_path / "shard-000003.tar") as archive:
        names = archive.getnames()
        text = archive.extractfile("a" * 32 + ".json").read().decode()
    record = json.loads(text)
    assert "„caption“" in text  # not escaped
    assert names == ["a" * 32 + ".json", "a" * 32 + ".png", "b" * 32 + ".jpg", "b" * 32 + ".json"]
    assert record == {
        "caption": "a „caption“",
        "height": 48,
        "key": "a" * 32,
        "row_id": "ra",
        "sha256": samples[0].sha256,
        "url": "https://ü.org/1.jpg",
        "width": 64,
    }
    whole = (tmp_path / "shard-000003.tar").read_bytes()
    assert whole[offsets[1] : offsets[1] + samples[1].size] == jpeg(0)


def test_equal_samples_give_equal_bytes(samples, tmp_path):
    write_shard(samples, tmp_path / "one.tar")
    write_shard(samples, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.fixture
def packed(tmp_path):
    (member,) = write_tar(tmp_path / "raw.tar", [("a.jpg", b"bytes")])
    rows = [
        {
            "key": f"{n}", "row_id": f"r{n}", "url": "u", "caption": None, "sha256": f"{n}",
            "original_md5": "m", "width": 4, "height": 3, "extension": "jpg",
            "tar": str(tmp_path / "raw.tar"), "offset": member.offset, "size": member.size,
            "shard": shard,
        }
        for n, shard in enumerate([0, 0, 2])
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=PACKED), tmp_path / "packed.parquet")
    return tmp_path / "packed.parquet"


def test_shards_keep_their_numbers_and_lengths(packed, tmp_path):
    write_shards(packed, STRETCHES, index=INDEX, work=tmp_path / "work", output=tmp_path / "out")
    tars = sorted(file.name for file in (tmp_path / "out").glob("*.tar"))
    assert tars == ["shard-000000.tar", "shard-000002.tar"]
    index = pq.read_table(tmp_path / "out" / "index.parquet")
    assert index.schema.equals(INDEX)
    for row in index.to_pylist():
        tar = (tmp_path / "out" / f"shard-{row['shard']:06d}.tar").read_bytes()
        assert tar[row["offset"] : row["offset"] + row["size"]] == b"bytes"
    write_manifest(packed, tmp_path / "out" / "manifest.parquet")
    manifest = pq.read_table(tmp_path / "out" / "manifest.parquet")
    assert manifest.schema.equals(MANIFEST)
    assert manifest["row_id"].to_pylist() == ["r0", "r1", "r2"]


def test_what_a_killed_run_wrote_is_not_written_again(packed, tmp_path):
    write_shards(packed, STRETCHES, index=INDEX, work=tmp_path / "work", output=tmp_path / "one")
    (tmp_path / "raw.tar").unlink()
    write_shards(packed, STRETCHES, index=INDEX, work=tmp_path / "work", output=tmp_path / "two")
    one, two = (
        [file.read_bytes() for file in sorted((tmp_path / name).iterdir())]
        for name in ("one", "two")
    )
    assert one == two
