"""Training shards: plain webdataset tars whose bytes follow from their content."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.files import link_or_copy
from data_filters.io.parquet import ParquetWriter, read_slice, write_rows
from data_filters.io.processes import run_jobs
from data_filters.io.tar import read_at, write_tar
from data_filters.records import MANIFEST


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


def write_shards(
    packed: Path, stretches: Sequence[range], *, index: pa.Schema, work: Path, output: Path
) -> None:
    """Write tars and `index.parquet`; several shards at a time, and each remembered in `work`.

    Args:
        packed: Table of the samples (`records.PACKED`, and what else the index has), in order.
        stretches: Rows of it that make up each shard; no shard is written where there are none.
        index: Columns of the index.
        work: Where finished shards are kept for a run that is started again.
        output: Where they are published.
    """
    write = partial(_write_shard, packed=packed, index=index, folder=work / "shards")
    with ParquetWriter(output / "index.parquet", index) as writer:
        jobs = [(shard, rows) for shard, rows in enumerate(stretches) if rows]
        for tar in run_jobs(write, jobs, label="shards"):
            link_or_copy(tar, output / tar.name)
            writer.write(pq.read_table(tar.with_suffix(".parquet")))


def write_manifest(packed: Path, file: Path) -> None:
    """Write what `records.MANIFEST` wants to know of each sample, in order."""
    with ParquetWriter(file, MANIFEST) as manifest:
        for batch in pq.ParquetFile(packed).iter_batches(columns=MANIFEST.names):
            manifest.write(batch)


def _write_shard(job: tuple[int, range], *, packed: Path, index: pa.Schema, folder: Path) -> Path:
    """Write one shard and, last, its rows of the index, unless both are there; return the tar."""
    shard, stretch = job
    tar = folder / shard_name(shard)
    entries = tar.with_suffix(".parquet")
    if not entries.exists():
        columns = [*dict.fromkeys((*Sample._fields, *index.names))]
        rows = read_slice(packed, columns, start=stretch.start, stop=stretch.stop).to_pylist()
        samples = [
            Sample._make(Path(row[n]) if n == "tar" else row[n] for n in Sample._fields)
            for row in rows
        ]
        offsets = write_shard(samples, tar)
        placed = [{**row, "offset": place} for row, place in zip(rows, offsets, strict=True)]
        write_rows(entries, index, [{n: row[n] for n in index.names} for row in placed])
    return tar


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
