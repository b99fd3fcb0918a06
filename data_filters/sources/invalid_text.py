"""Parquet with a text that is not UTF-8: DuckDB refuses the whole file, here that text is null."""

from collections.abc import Collection, Iterator
from typing import IO, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

REFUSAL: Final = "is not valid UTF8"
"""What DuckDB's error says of such a file."""

_VIEW: Final = "unchecked"
_BYTES: Final = pa.large_binary()


def scan_leniently(
    connection: duckdb.DuckDBPyConnection, file: IO[bytes], columns: Collection[str]
) -> str:
    """Spell a DuckDB scan, to be used once, of these columns and `file_row_number`.

    Rows come in the order of the file, a row group at most in memory.
    """
    parquet = pq.ParquetFile(file)
    fields = [field for field in parquet.schema_arrow if field.name in columns]
    texts = {field.name for field in fields if _is_text(field.type)}
    schema = pa.schema(
        [field.with_type(_BYTES) if field.name in texts else field for field in fields]
        + [pa.field("file_row_number", pa.int64())]
    )
    batches = _numbered(parquet, schema)
    connection.register(_VIEW, pa.RecordBatchReader.from_batches(schema, batches))
    names = {name: '"' + name.replace('"', '""') + '"' for name in schema.names}
    select = ", ".join(
        f"TRY(decode({quoted})) AS {quoted}" if name in texts else quoted
        for name, quoted in names.items()
    )
    return f"(SELECT {select} FROM {_VIEW})"  # noqa: S608  quoted


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _numbered(parquet: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the columns of the schema; texts as bytes, which nobody checks."""
    *names, _ = schema.names
    first = 0
    for batch in parquet.iter_batches(columns=names):
        columns: list[Any] = [
            _as_bytes(batch.column(name)) if schema.field(name).type == _BYTES else batch[name]
            for name in names
        ]
        numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
        yield pa.RecordBatch.from_arrays([*columns, numbers], schema=schema)
        first += batch.num_rows


def _as_bytes(texts: pa.Array) -> pa.Array:
    plain = texts.dictionary_decode() if pa.types.is_dictionary(texts.type) else texts
    return plain.cast(_BYTES)
