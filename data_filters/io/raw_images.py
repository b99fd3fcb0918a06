"""Raw shards as other stages read them: rows with the bytes of their images."""

from collections.abc import Container, Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_filters.io.tar import read_at


def images(table: Path, *, only: Container[str] | None = None) -> Iterator[tuple[str, str, bytes]]:
    """Yield (row id, SHA-256, bytes) of a raw shard's images.

    Args:
        table: The shard's parquet file; its tar lies beside it.
        only: Row ids wanted; None for all.
    """
    columns = pq.read_table(table, columns=["row_id", "kept", "offset", "size", "sha256"])
    arrived = columns.filter(pc.field("kept")).sort_by("offset").to_pylist()
    rows = [row for row in arrived if only is None or row["row_id"] in only]
    places = [(row["offset"], row["size"]) for row in rows]
    for row, data in zip(rows, read_at(table.with_suffix(".tar"), places), strict=True):
        yield row["row_id"], row["sha256"], data
