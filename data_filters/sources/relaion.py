"""Tables of URLs, in the columns of ReLAION and of its relatives, read by DuckDB."""

# ruff: noqa: S608  the SQL is made of our own words; texts go through sql_text

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import duckdb
import pyarrow as pa

from data_filters.io.database import stream
from data_filters.io.parquet import sql_text
from data_filters.records import METADATA, content_id_sql

ALIASES: Final = MappingProxyType[str, tuple[str, ...]](
    {
        "url": ("url", "URL"),
        "caption": ("caption", "TEXT", "top_caption", "text"),
        # ReLAION's `width` is of LAION's own resized copy; the original is what matters
        "width": ("original_width", "WIDTH", "width"),
        "height": ("original_height", "HEIGHT", "height"),
        "similarity": ("similarity", "clip_similarity_vitb32"),
        "punsafe": ("punsafe",),
        "pwatermark": ("pwatermark", "watermark_score"),
        "status": ("status",),
        "md5": ("md5",),
    }
)
"""Our columns, and what ReLAION, LAION, LAION-COCO and COYO call them, best first."""

LAYOUT: Final = "parquet parts with at least a column `url` (ReLAION-2B-en-research-safe has 128)"


def column_map(columns: set[str], *, file: str) -> Mapping[str, str | None]:
    """Choose the source's column for each of ours; None where it has none.

    Raises:
        ValueError: The file has no URLs.
    """
    chosen = {
        ours: next((name for name in names if name in columns), None)
        for ours, names in ALIASES.items()
    }
    if chosen["url"] is None:
        raise ValueError(
            f"{file}: no column named {' or '.join(ALIASES['url'])} among "
            f"{', '.join(sorted(columns))}; expected {LAYOUT}"
        )
    return chosen


def read_part(
    connection: duckdb.DuckDBPyConnection, file: str, *, part: int
) -> Iterator[pa.RecordBatch]:
    """Stream one parquet part as rows of `records.METADATA`, in the order of the file.

    Only the columns that exist on our side are read: at 467 GB this is most of the saving.

    Raises:
        ValueError: Not a parquet file, a cut one, or one without URLs.
    """
    scan = f"read_parquet({sql_text(file)}, file_row_number = true)"
    try:
        columns = {name for name, *_ in connection.sql(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
        chosen = column_map(columns - {"file_row_number"}, file=file)
        yield from stream(connection, _query(scan, chosen, part=part))
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not readable as parquet ({first_line}); fetch it again"
        ) from None


def _query(scan: str, chosen: Mapping[str, str | None], *, part: int) -> str:
    values = {
        "row_id": content_id_sql("coalesce(url, '')"),
        "part": str(part),
        "row": "position",
        "path": "NULL",
    }
    read = ", ".join(
        f'TRY_CAST("{theirs}" AS {_SQL_TYPES[str(METADATA.field(ours).type)]}) AS {ours}'
        if theirs
        else f"NULL AS {ours}"
        for ours, theirs in chosen.items()
    )
    select = ", ".join(
        f"{values[name]} AS {name}" if name in values else name for name in METADATA.names
    )
    return f"SELECT {select} FROM (SELECT {read}, file_row_number AS position FROM {scan})"


_SQL_TYPES: Final = {
    "string": "VARCHAR", "int32": "INTEGER", "double": "DOUBLE", "float": "FLOAT",
}  # fmt: skip
