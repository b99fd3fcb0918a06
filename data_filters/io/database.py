"""DuckDB, out of core: connections of bounded memory that spill to the stage's work folder.

Opening a database takes as long as scanning half a million rows. So a stage opens one, and small
questions, which come without a folder to spill to, are asked in whichever is open.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import duckdb
import fsspec
import pyarrow as pa

from data_filters.io.files import file_system, is_remote
from data_filters.io.processes import memory_megabytes, num_workers

ROWS_PER_BATCH: Final = 65_536

_SHARE: Final = 0.6
"""Of the stage's memory that DuckDB may use; the rest is for Python, Arrow and the writers."""

_SOME_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)


_OPEN: Final[list[duckdb.DuckDBPyConnection]] = []
"""The databases of stages at work in this process, the latest last."""


@contextmanager
def connect(work: Path, *, root: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills to `work` and may read from a remote `root`."""
    spill = work / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    with _database(spill=str(spill)) as connection:
        if root is not None and is_remote(root):
            connection.register_filesystem(_dated(file_system(root)))
        _OPEN.append(connection)
        try:
            yield connection
        finally:
            _OPEN.remove(connection)


def ask(query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return all rows of a query whose answer is small, without opening another database.

    Outside of `connect` a database without a folder answers, which this process keeps.

    Raises:
        duckdb.Error: The query is wrong, or what it reads cannot be read.
    """
    database = _OPEN[-1] if _OPEN else _homeless()
    with database.cursor() as cursor:  # leaves rows that are being streamed alone
        rows: list[tuple[Any, ...]] = cursor.execute(query, list(parameters)).fetchall()
    return rows


@cache
def _homeless() -> duckdb.DuckDBPyConnection:
    return _database(spill="")  # never spills


def _database(*, spill: str) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": spill,
        "threads": num_workers(),
        "preserve_insertion_order": True,  # a scan yields rows in the order of the file: no sorting
        "memory_limit": f"{int(_SHARE * memory_megabytes())}MB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=settings)
    connection.execute("SET enable_progress_bar = false")  # it would fill a log
    return connection


def _dated(system: Any) -> Any:
    """Answer DuckDB's question when a file was changed where the file system cannot (http)."""
    if type(system).modified is fsspec.AbstractFileSystem.modified:
        system.modified = lambda path: _SOME_DAY  # noqa: ARG005  DuckDB calls it by position
    return system


def stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Run a query and yield its rows as Arrow batches, never holding all of them."""
    yield from connection.sql(query).to_arrow_reader(ROWS_PER_BATCH)
