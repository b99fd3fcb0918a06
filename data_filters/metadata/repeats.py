"""Rows whose URL another kept row has: found over any number of rows in bounded memory.

Row ids are hashed to 64 bits and sorted, as many at a time as fit. What occurs once, nearly all, is
done with; only rows whose hash occurs again are read and compared by their row ids.
"""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.database import stream
from data_filters.io.parquet import num_rows, scan_sql

REPEATED: Final = ("repeated_url", "url_seen_before")
"""Filter and reason of rows whose URL another kept row has."""

COPY_ORDER: Final = "coalesce(caption, ''), part, row"
"""What decides among rows with one URL: the smallest caption, then the position. Shuffling the
source changes nothing unless two rows agree in URL and caption."""

_BYTES_PER_KEY: Final = 10  # the key, and whether it equals the next

Keys = npt.NDArray[np.uint64]


def repeats(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], *, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield (part, row) of all rows but the first copy of each URL, in the source's order.

    Args:
        connection: A database that may spill.
        files: Parquet files of rows that pass, with the columns of `records.METADATA`.
        max_bytes: Memory for hashes.
    """
    connection.execute("CREATE TEMP TABLE repeated (part INTEGER, row BIGINT)")
    passes = -(-sum(map(num_rows, files)) * _BYTES_PER_KEY // max_bytes)
    for number in range(passes):
        share = f"hash(row_id) % {passes} = {number}"
        keys = repeated_keys(connection, files, share=share)
        candidates = pa.table({"key": keys})
        connection.register("candidates", candidates)
        connection.execute(
            "INSERT INTO repeated SELECT part, row FROM (SELECT part, row, "
            f"row_number() OVER (PARTITION BY row_id ORDER BY {COPY_ORDER}) AS copy "
            f"FROM {scan_sql(files)} SEMI JOIN candidates ON hash(row_id) = key) WHERE copy > 1"
        )
        connection.unregister("candidates")
    yield from stream(connection, "SELECT * FROM repeated ORDER BY part, row")


def repeated_keys(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    *,
    column: str = "row_id",
    share: str = "true",
) -> Keys:
    """Return the 64-bit hashes that more than one row has: an exact superset of what repeats.

    Args:
        connection: A database.
        files: Parquet files.
        column: What is hashed.
        share: SQL condition of the rows to look at.
    """
    query = f"SELECT hash({column}) AS key FROM {scan_sql(files)} WHERE {share}"
    keys = np.empty(sum(map(num_rows, files)), np.uint64)  # pages that are not written take no room
    size = 0
    for batch in stream(connection, query):
        keys[size : size + batch.num_rows] = batch["key"].to_numpy()
        size += batch.num_rows
    keys = keys[:size]
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def without_repeats(file: Path, repeated: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one part that are kept: those of `file` that `repeated` does not name."""
    with pq.ParquetFile(file) as rows:
        if rows.metadata.num_rows == 0:
            return
        part = rows.read_row_group(0, columns=["part"])["part"][0]
        named = pq.read_table(repeated, columns=["row"], filters=[("part", "==", part.as_py())])
        gone = named["row"].to_numpy()
        for batch in rows.iter_batches():
            yield batch.filter(pa.array(~np.isin(batch["row"].to_numpy(), gone)))
