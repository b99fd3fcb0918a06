"""One training shard: a plain webdataset tar whose bytes follow from its content."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data_filters.io.tar import read_at, write_tar


class Sample(NamedTuple):
    """A sample and where its bytes are now.

    Attributes:
        key: Name in the shard: the start of the SHA-256 of its bytes.
        row_id: Row of the ledger.
        url: URL, or path in a local source.
        caption: Text, if any.
        sha256: Of the image bytes.
        width: Pixels, upright.
        height: Pixels, upright.
        extension: Of the original file.
        tar: Raw shard that holds it.
        offset: Of its bytes there.
        size: Bytes.
    """

    key: str
    row_id: str
    url: str
    caption: str | None
    sha256: str
    width: int
    height: int
    extension: str
    tar: Path
    offset: int
    size: int


def shard_name(shard: int) -> str:
    """`shard-000000.tar`."""
    return f"shard-{shard:06d}.tar"


def write_shard(samples: Sequence[Sample], path: Path) -> list[int]:
    """Write a shard; return the offset of each sample's image.

    Args:
        samples: Sorted by key.
        path: Where to.
    """
    members = write_tar(path, _members(samples))
    offsets = {member.name: member.offset for member in members}
    return [offsets[f"{sample.key}.{sample.extension}"] for sample in samples]


def _members(samples: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
    for sample in samples:
        (data,) = read_at(sample.tar, [(sample.offset, sample.size)])
        pair = [
            (f"{sample.key}.{sample.extension}", data),
            (f"{sample.key}.json", _record(sample)),
        ]
        yield from sorted(pair)  # jpg before json before png


def _record(sample: Sample) -> bytes:
    record = {
        "caption": sample.caption,
        "height": sample.height,
        "key": sample.key,
        "row_id": sample.row_id,
        "sha256": sample.sha256,
        "url": sample.url,
        "width": sample.width,
    }
    return json.dumps(record, ensure_ascii=False, sort_keys=True).encode()
