"""All training shards of a table of samples, with the index and the manifest beside them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from data_filters.io.files import link_or_copy
from data_filters.io.parquet import ParquetWriter, read_slice, write_rows
from data_filters.io.processes import run_jobs
from data_filters.pack.shard import Sample, shard_name, write_shard
from data_filters.records import INDEX, MANIFEST, PACKED


def write_shards(
    packed: Path, stretches: Mapping[int, tuple[int, int]], *, work: Path, output: Path
) -> None:
    """Write tars, `index.parquet` and `manifest.parquet`; a killed run continues from `work`.

    Args:
        packed: The samples (`records.PACKED`) in the order in which they are written.
        stretches: The rows [start, stop) of `packed` that make up a shard, by its number.
        work: Where each finished shard is remembered.
        output: Where to.
    """
    write = partial(_write_shard, packed=packed, folder=work / "shards")
    with ParquetWriter(output / "index.parquet", INDEX) as index:
        for tar in run_jobs(write, list(stretches.items()), label="shards"):
            link_or_copy(tar, output / tar.name)
            index.write(pq.read_table(tar.with_suffix(".parquet")))
    with ParquetWriter(output / "manifest.parquet", MANIFEST) as manifest:
        for batch in pq.ParquetFile(packed).iter_batches(columns=MANIFEST.names):
            manifest.write(batch)


def _write_shard(item: tuple[int, tuple[int, int]], *, packed: Path, folder: Path) -> Path:
    """Write one shard and, last, its rows of the index, unless both are there; return the tar."""
    shard, (start, stop) = item
    tar = folder / shard_name(shard)
    index = tar.with_suffix(".parquet")
    if not index.exists():
        rows = read_slice(packed, PACKED.names, start=start, stop=stop).to_pylist()
        samples = [
            Sample._make(Path(row[n]) if n == "tar" else row[n] for n in Sample._fields)
            for row in rows
        ]
        offsets = write_shard(samples, tar)
        entries = [{**row, "offset": place} for row, place in zip(rows, offsets, strict=True)]
        write_rows(index, INDEX, [{n: row[n] for n in INDEX.names} for row in entries])
    return tar
