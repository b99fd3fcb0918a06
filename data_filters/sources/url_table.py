"""Tables of URLs, whatever their columns are called, read by DuckDB."""

# ruff: noqa: S608  the SQL is made of our own words; texts go through sql_text

import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, get_args

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from data_filters.io.access import explained
from data_filters.io.database import stream
from data_filters.io.files import join, open_binary
from data_filters.io.parquet import sql_text
from data_filters.records import METADATA, content_id_sql
from data_filters.source_kinds import Column
from data_filters.sources.invalid_text import NOT_UTF8, ROW_NUMBER, batches_of_valid_text

ALIASES: Final = MappingProxyType[str, tuple[str, ...]](
    {
        "url": ("url", "URL"),
        "caption": ("caption", "TEXT", "top_caption", "text"),
        "language": ("language", "LANGUAGE"),
        # ReLAION's `width` is of LAION's own resized copy; the original is what matters
        "width": ("original_width", "WIDTH", "width"),
        "height": ("original_height", "HEIGHT", "height"),
        "similarity": (
            "similarity", "clip_l14_similarity_score", "clip_similarity_vitb32",
        ),
        "punsafe": ("punsafe", "nsfw_score_opennsfw2"),
        "pwatermark": ("pwatermark", "watermark_score"),
        "status": ("status",),
        "md5": ("md5",),
    }
)  # fmt: skip
"""Our columns, and what ReLAION, LAION, LAION-COCO, DataComp and COYO call them, best first."""

_SQL_TYPES: Final = {
    "string": "VARCHAR", "int32": "INTEGER", "double": "DOUBLE", "float": "FLOAT",
}  # fmt: skip

LAYOUT: Final = "parquet parts with at least a column `url` (ReLAION-2B-en-research-safe has 128)"

_LOG = logging.getLogger(__name__)


def column_map(
    found: set[str], *, file: str, declared: Mapping[Column, str] | None, key: str
) -> Mapping[str, str | None]:
    """Choose the table's column for each of ours; None where it has none.

    Args:
        found: Columns of the file.
        file: Its name, for errors.
        declared: Their name for each of ours; None looks for the names in `ALIASES`.
        key: Parameter to name in errors.

    Raises:
        ValueError: The file has no URLs, or lacks a declared column.
    """
    if declared is not None:
        missing = sorted(set(declared.values()) - found)
        if missing or "url" not in declared:
            raise ValueError(
                f"{key}.columns: {f'no column {missing[0]!r} in {file}' if missing else 'no url'}; "
                f"the file has {', '.join(sorted(found))}"
            )
        return {ours: declared.get(ours) for ours in get_args(Column)}
    chosen = {
        ours: next((name for name in names if name in found), None)
        for ours, names in ALIASES.items()
    }
    if chosen["url"] is None:
        raise ValueError(
            f"{file}: no column named {' or '.join(ALIASES['url'])} among "
            f"{', '.join(sorted(found))}; expected {LAYOUT}, or set {key}.columns"
        )
    return chosen


def read_part(
    connection: duckdb.DuckDBPyConnection,
    *,
    root: str,
    name: str,
    part: int,
    columns: Mapping[Column, str] | None,
    key: str,
) -> Iterator[pa.RecordBatch]:
    """Stream one parquet part as rows of `records.METADATA`, in the order of the file.

    Only the columns that exist on our side are read: at 467 GB this is most of the saving. A text
    that is not UTF-8 is a missing value, told in the log; its row stays.

    Args:
        connection: From `connect`, told of a remote root.
        root: Folder of the part: a local path or any fsspec URL.
        name: Of the part, below the root.
        part: Its number.
        columns: Their name for each of ours, or None to recognise them.
        key: Parameter to name in errors.

    Raises:
        PermissionError: A remote store turns us away.
        ValueError: Not a parquet file, a cut one, or one without URLs.
    """
    file = join(root, name)
    scan = f"read_parquet({sql_text(file)}, {ROW_NUMBER} = true, binary_as_string = true)"
    try:
        found = {name for name, *_ in connection.sql(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
        found -= {ROW_NUMBER}
        chosen = column_map(found, file=file, declared=columns, key=key)
        rows = _rows(connection, scan, chosen, part=part, root=root, name=name)
        yield from map(_without_nan, rows)
    except (duckdb.Error, OSError) as error:  # OSError: of batches after the first
        with explained(root, key=f"{key}.root"):
            with open_binary(root, name) as probe:
                probe.read(1)  # DuckDB hides whose fault it is; a refusal shows here
            raise ValueError(
                f"{file}: not readable as parquet ({_first_line(error)}); fetch it again, or "
                "repair it"
            ) from error


def _rows(
    connection: duckdb.DuckDBPyConnection,
    scan: str,
    chosen: Mapping[str, str | None],
    *,
    part: int,
    root: str,
    name: str,
) -> Iterator[pa.RecordBatch]:
    """Stream the rows; where DuckDB refuses a text, those that are left come cleaned of such."""
    done = 0
    try:
        for batch in stream(connection, _query(scan, chosen, part=part)):
            yield batch
            done += batch.num_rows
    except (duckdb.Error, OSError) as error:
        if NOT_UTF8 not in str(error):
            raise
        _LOG.warning("%s: %s Such texts are missing values.", join(root, name), _first_line(error))
    else:
        return
    wanted = sorted({theirs for theirs in chosen.values() if theirs is not None})
    with open_binary(root, name) as file:
        for cleaned in batches_of_valid_text(file, wanted, start=done):
            connection.register("cleaned", pa.Table.from_batches([cleaned]))
            yield from stream(connection, _query("cleaned", chosen, part=part))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _query(scan: str, chosen: Mapping[str, str | None], *, part: int) -> str:
    values = {
        "row_id": content_id_sql("coalesce(url, '')"),
        "part": str(part),
        "row": "position",
        "path": "NULL",
    }
    read = ", ".join(f"{_read_sql(ours, theirs)} AS {ours}" for ours, theirs in chosen.items())
    select = ", ".join(
        f"{values[name]} AS {name}" if name in values else name for name in METADATA.names
    )
    return f"SELECT {select} FROM (SELECT {read}, {ROW_NUMBER} AS position FROM {scan})"


def _read_sql(ours: str, theirs: str | None) -> str:
    """Read a column as what ours is; null where it cannot be."""
    if theirs is None:
        return "NULL"
    kind = _SQL_TYPES[str(METADATA.field(ours).type)]
    name = theirs.replace('"', '""')
    return f'TRY_CAST("{name}" AS {kind})'


def _without_nan(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Make NaN null. Not in SQL: DuckDB trusts a file's minimum and maximum, which leave it out."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_floating(field.type):
            values = batch.column(place)
            missing = pa.scalar(None, field.type)
            values = pc.if_else(pc.is_nan(values), missing, values)
            batch = batch.set_column(place, field, values)
    return batch
