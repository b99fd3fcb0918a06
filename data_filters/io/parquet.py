"""Parquet whose bytes repeat: one row order, fixed row groups, fixed settings."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.files import atomic_path
from data_filters.records import FEW_VALUES

ROWS_PER_GROUP: Final = 65_536


class ParquetWriter:
    """Write record batches of any size as row groups of `ROWS_PER_GROUP`, atomically.

    How the rows arrive (number of threads, batch size) leaves no trace in the file. Use as a
    context manager: the file appears only when the block succeeds.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._atomic = atomic_path(path)
        self._pending: list[pa.Table] = []
        self._num_pending = 0
        self.num_rows = 0

    def __enter__(self) -> Self:
        """Open the temporary file."""
        temporary = self._atomic.__enter__()
        self._writer = pq.ParquetWriter(
            temporary,
            self._schema,
            compression="zstd",
            use_dictionary=[name for name in self._schema.names if name in FEW_VALUES],
        )
        return self

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Append rows; their columns must have the schema's names."""
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        self._pending.append(rows.select(self._schema.names).cast(self._schema))
        self._num_pending += rows.num_rows
        self.num_rows += rows.num_rows
        if self._num_pending >= ROWS_PER_GROUP:
            self._flush(everything=False)

    def _flush(self, *, everything: bool) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        end = table.num_rows if everything else table.num_rows - table.num_rows % ROWS_PER_GROUP
        self._writer.write_table(table.slice(0, end), row_group_size=ROWS_PER_GROUP)
        self._pending = [table.slice(end)]
        self._num_pending = table.num_rows - end

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, and publish unless the block failed."""
        if error is None and self._num_pending:
            self._flush(everything=True)
        self._writer.close()
        self._atomic.__exit__(kind, error, trace)


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table given row by row."""
    with ParquetWriter(path, schema) as writer:
        writer.write(pa.Table.from_pylist(list(rows), schema=schema))


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a stream of record batches; return the number of rows."""
    with ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.num_rows


def part_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, in name order."""
    return sorted(folder.glob("*.parquet"))


def num_rows(path: Path) -> int:
    """Count the rows of a file without reading them."""
    return int(pq.read_metadata(path).num_rows)


def read_slice(path: Path, columns: Sequence[str], *, start: int, stop: int) -> pa.Table:
    """Read rows [start, stop), touching only the row groups that hold them."""
    with pq.ParquetFile(path) as file:
        groups, first, position = [], None, 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if position < stop and position + size > start:
                groups.append(group)
                first = position if first is None else first
            position += size
        table = file.read_row_groups(groups, columns=list(columns))
    return table.slice(start - (first or 0), stop - start)


def iterate_rows(files: Iterable[Path], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of several files one by one, in order, in little memory."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(columns)):
                yield from batch.to_pylist()


def scan_sql(files: Sequence[str | os.PathLike[str]], *, filename: bool = False) -> str:
    """Spell a DuckDB scan of parquet files, where asked for with a column of their names."""
    names = ", ".join(sql_text(os.fspath(name)) for name in files)
    return f"read_parquet([{names}], filename = {str(filename).lower()})"


def sql_text(text: str) -> str:
    """Spell a string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
