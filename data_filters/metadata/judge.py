"""All metadata filters as one SQL expression, and the choice among rows with the same URL."""

# ruff: noqa: S608  the SQL is made of our own words; texts go through sql_text

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from data_filters.base import RuleFilter
from data_filters.io.parquet import scan_sql, sql_text

REPEATED: Final = ("repeated_url", "url_seen_before")
"""Filter and reason of rows whose URL another kept row has."""

COPY_ORDER: Final = "struct_pack(text := coalesce(caption, ''), part := part, row := row)"
"""What decides among rows with one URL: the smallest caption, then the position. Shuffling the
source changes nothing unless two rows agree in URL and caption."""

_VERDICT_TYPE: Final = "STRUCT(filter VARCHAR, reason VARCHAR)"


def judged_sql(files: Sequence[Path], filters: Sequence[RuleFilter]) -> str:
    """Return a query for the rows of metadata parts with a column `verdict`.

    The verdict is a struct (filter, reason) of the first rule that the row breaks, or null.
    """
    branches = " ".join(
        f"WHEN {rule.condition} THEN {_verdict(each.name, rule.reason)}"
        for each in filters
        for rule in each.rules()
    )
    verdict = f"CASE {branches} END" if branches else "NULL"
    return f"SELECT *, CAST({verdict} AS {_VERDICT_TYPE}) AS verdict FROM {scan_sql(files)}"


def first_copies_sql(judged: str) -> str:
    """Return a query for the row to keep of every URL that several passing rows share.

    Args:
        judged: What `judged_sql` returned.

    Returns:
        SQL yielding (row_id, first), where `first` compares with `COPY_ORDER`.
    """
    return (
        f"SELECT row_id, min({COPY_ORDER}) AS first FROM ({judged}) WHERE verdict IS NULL "
        "GROUP BY row_id HAVING count(*) > 1"
    )


def without_repeats_sql(judged: str, copies: str) -> str:
    """Return a query like `judged` in which all but the first copies are dropped.

    Args:
        judged: What `judged_sql` returned.
        copies: A table made by `first_copies_sql`.
    """
    repeated = f"verdict IS NULL AND first IS NOT NULL AND first <> {COPY_ORDER}"
    verdict = f"CASE WHEN {repeated} THEN {_verdict(*REPEATED)} ELSE verdict END"
    return (
        f"SELECT * EXCLUDE (first) REPLACE ({verdict} AS verdict) "
        f"FROM ({judged}) LEFT JOIN {copies} USING (row_id)"
    )


def _verdict(name: str, reason: str) -> str:
    return f"struct_pack(filter := {sql_text(name)}, reason := {sql_text(reason)})"
