"""The captions of the images in a raw shard."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Sequence
from pathlib import Path

from data_filters.io.database import ask
from data_filters.io.parquet import scan_sql


def captions_of(table: Path, kept: Sequence[Path]) -> dict[str, str]:
    """Look up the captions of a raw shard's rows; a row without one has an empty one.

    Args:
        table: The shard's parquet file.
        kept: Tables of the metadata that was downloaded. Of several rows with one URL, the smallest
            caption counts, as it does for `repeated_url`.
    """
    query = (
        f"SELECT row_id, min(coalesce(caption, '')) FROM {scan_sql(kept)} "
        f"WHERE row_id IN (SELECT row_id FROM {scan_sql([table])}) GROUP BY row_id"
    )
    return dict(ask(query))
