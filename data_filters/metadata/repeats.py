"""Rows whose URL another kept row has: found over any number of rows in bounded memory.

Row ids are hashed to 64 bits, as many at a time as fit. What occurs once, nearly all, is done with;
only rows whose hash occurs again are read and compared by their row ids.
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

_BYTES_PER_KEY: Final = 28  # the key, up to four slots of four bytes, and keys that share theirs

_CHUNK: Final = 1 << 16  # of keys: what is computed on the way stays in the processor's cache

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
        keys = repeated_keys(connection, files, share=share, num_shares=passes)
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
    num_shares: int = 1,
) -> Keys:
    """Return the 64-bit hashes that more than one row has: an exact superset of what repeats.

    Args:
        connection: A database.
        files: Parquet files.
        column: What is hashed.
        share: SQL condition of the rows to look at.
        num_shares: How many shares, of about this size, there are.
    """
    query = f"SELECT hash({column}) AS key FROM {scan_sql(files)} WHERE {share}"
    rows = sum(map(num_rows, files))
    keys = np.empty(min(rows, rows * 9 // (8 * num_shares) + _CHUNK), np.uint64)
    size = 0
    for batch in stream(connection, query):
        end = size + batch.num_rows
        if end > len(keys):  # a value that many rows have makes its share a large one
            keys = _grown(keys[:size], min(rows, 2 * end))
        keys[size:end] = batch["key"].to_numpy()
        size = end
    return occurring_again(keys[:size])


def _grown(keys: Keys, room: int) -> Keys:
    grown = np.empty(room, np.uint64)  # pages that are not written take no memory
    grown[: len(keys)] = keys
    return grown


def occurring_again(keys: Keys) -> Keys:
    """Return, sorted, the values that occur more than once, without sorting all of them.

    Few are sorted. Of many, every key writes its position into the slot of a table that its high
    bits name. Most find their own position there afterwards: whatever else equals one of them does
    not, so they can be forgotten. Of the others, whoever equals the key that took its slot occurs
    again; the rest, which only shared a slot, is looked at once more.

    Args:
        keys: Evenly spread 64-bit hashes, fewer than 2^32.
    """
    if len(keys) <= _CHUNK:
        return _repeated_in(_sorted([keys]))
    bits = len(keys).bit_length() + 1  # two to four slots a key
    shift = np.uint64(64 - bits)
    table = np.empty(1 << bits, np.uint32)  # a slot is read only after it was written
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(keys), _CHUNK)]
    for chunk in chunks:
        slots = (keys[chunk] >> shift).astype(np.intp)
        table[slots] = np.arange(chunk.start, chunk.start + len(slots), dtype=np.uint32)
    again, rest = [], []
    for chunk in chunks:
        mine = keys[chunk]
        taken_by = table.take((mine >> shift).astype(np.intp), mode="clip")
        numbers = np.arange(chunk.start, chunk.start + len(mine), dtype=np.uint32)
        ousted = np.flatnonzero(taken_by != numbers)
        left = mine[ousted]
        equal = keys[taken_by[ousted]] == left
        again.append(left[equal])
        rest.append(left[~equal])
    others = np.concatenate(rest)
    evenly_spread = len(others) < len(keys) // 2
    again.append(occurring_again(others) if evenly_spread else _repeated_in(_sorted(rest)))
    return _distinct(_sorted(again))


def _sorted(pieces: Sequence[Keys]) -> Keys:
    joined = np.concatenate(pieces)
    joined.sort()
    return joined


def _repeated_in(ordered: Keys) -> Keys:
    return _distinct(ordered[1:][ordered[1:] == ordered[:-1]])


def _distinct(ordered: Keys) -> Keys:
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])


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
