"""Parquet with texts that are not UTF-8, which DuckDB refuses: such a text is a missing value."""

from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.database import ROWS_PER_BATCH

NOT_UTF8: Final = "not valid UTF8"
"""What DuckDB says of such a text."""

ROW_NUMBER: Final = "file_row_number"
"""Column of positions, as DuckDB's `read_parquet` calls it."""


_TEXTS: Final = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def batches_of_valid_text(
    file: IO[bytes], columns: Sequence[str], *, start: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows from `start` on, with their positions; texts that are not UTF-8 are null.

    Args:
        file: A parquet file.
        columns: What is read; bytes become text.
        start: Position of the first row that is wanted.
    """
    position = 0
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(ROWS_PER_BATCH, columns=list(columns)):
            first, position = position, position + batch.num_rows
            if position <= start:
                continue
            values = [_valid(batch[name]) for name in columns]
            numbers = pa.array(range(first, position), pa.int64())
            cleaned = pa.RecordBatch.from_arrays([*values, numbers], [*columns, ROW_NUMBER])
            yield cleaned.slice(max(0, start - first))


def _valid(values: pa.Array) -> pa.Array:
    """Decode texts and bytes; leave other columns alone."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type not in _TEXTS:
        return values
    raw = values.cast(pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:  # some are not UTF-8
        return pa.array(map(_decoded, raw), pa.string())


def _decoded(value: Any) -> str | None:
    data: bytes | None = value.as_py()
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None
