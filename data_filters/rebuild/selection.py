"""A published selection: the manifest of training shards, checked before anything is fetched."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from data_filters.download.origin import ORIGIN
from data_filters.io.database import stream
from data_filters.io.parquet import scan_sql, sql_text
from data_filters.records import MANIFEST

_REMEDY: Final = "give the manifest.parquet of a published pack_shards folder"


def check_selection(connection: duckdb.DuckDBPyConnection, manifest: Path) -> None:
    """See that a manifest names images by URL, once each, with their hashes.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is another kind of file, or names files of a local collection.
    """
    if not manifest.is_file():
        raise FileNotFoundError(f"{manifest}: no such file; {_REMEDY}")
    with _blaming(manifest):
        _check_columns(connection, manifest)
        _check_rows(connection, manifest)


@contextmanager
def _blaming(manifest: Path) -> Iterator[None]:
    """Turn what DuckDB says while it reads a manifest into one line about that file."""
    try:
        yield
    except duckdb.Error as error:
        words = str(error).strip().partition("\n")[0]
        raise ValueError(f"{manifest}: cannot be read ({words}); {_REMEDY}") from error


def _check_columns(connection: duckdb.DuckDBPyConnection, manifest: Path) -> None:
    given = connection.sql(f"SELECT * FROM {scan_sql([manifest])}")
    asked = connection.from_arrow(MANIFEST.empty_table())
    found = dict(zip(given.columns, given.types, strict=True))
    missing = [name for name in asked.columns if name not in found]
    if missing:
        raise ValueError(f"{manifest}: has no column {', '.join(missing)}; {_REMEDY}")
    for name, kind in zip(asked.columns, asked.types, strict=True):
        if found[name] != kind:
            raise ValueError(f"{manifest}: column {name} is {found[name]}, not {kind}; {_REMEDY}")


def _check_rows(connection: duckdb.DuckDBPyConnection, manifest: Path) -> None:
    addressed = r"regexp_matches(url, '^[A-Za-z][A-Za-z0-9+.-]*://')"
    rows, distinct, with_url, hashed = connection.sql(
        f"SELECT count(*), count(DISTINCT row_id), count(*) FILTER ({addressed}), "
        "count(*) FILTER (sha256 IS NOT NULL AND original_md5 IS NOT NULL AND shard >= 0) "
        f"FROM {scan_sql([manifest])}"
    ).fetchall()[0]
    if rows == 0:
        raise ValueError(f"{manifest}: holds no rows; {_REMEDY}")
    if with_url < rows:
        raise ValueError(
            f"{manifest}: {rows - with_url} of {rows} rows have a path instead of a URL: nobody "
            "else can fetch them; get the collection itself and name it in fetch_metadata.source"
        )
    if distinct < rows or hashed < rows:
        raise ValueError(
            f"{manifest}: {rows - distinct} row ids are there twice and {rows - hashed} rows lack "
            f"a hash or a shard; {_REMEDY}"
        )


def is_embedded(connection: duckdb.DuckDBPyConnection, manifest: Path) -> bool:
    """Whether the images come from the embedded world, served on the loopback."""
    query = f"SELECT count(*) FROM {scan_sql([manifest])} WHERE contains(url, {sql_text(ORIGIN)})"
    return bool(connection.sql(query).fetchall()[0][0])


def rows_to_fetch(
    connection: duckdb.DuckDBPyConnection, manifest: Path
) -> Iterator[pa.RecordBatch]:
    """Yield what the manifest says of each image as rows of `records.METADATA`.

    Raises:
        ValueError: The manifest is damaged.
    """
    columns = {
        "row_id": "row_id",
        "part": "0",
        "row": "row_number() OVER () - 1",
        "url": "url",
        "path": "NULL",
        "caption": "caption",
        "language": "NULL",
        "width": "width",
        "height": "height",
        "similarity": "NULL",
        "punsafe": "NULL",
        "pwatermark": "NULL",
        "status": "NULL",
        "md5": "original_md5",
    }
    select = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    with _blaming(manifest):
        yield from stream(connection, f"SELECT {select} FROM {scan_sql([manifest])}")
