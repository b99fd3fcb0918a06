"""Training shards: plain webdataset, bytes that follow from the content."""

import hashlib
import json
import tarfile

import pytest

from data_filters.io.tar import write_tar
from data_filters.pack.shard import Sample, shard_name, write_shard


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
        record = json.loads(archive.extractfile("a" * 32 + ".json").read())
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
