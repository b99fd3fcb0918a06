"""Drop rows that a list names: domains not to be fetched, opt-outs by URL, known bytes by MD5."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import duckdb

from data_filters.base import Rule, RuleFilter
from data_filters.io.database import ask
from data_filters.io.parquet import scan_sql, sql_text
from data_filters.metadata.address import HOST_SQL

Subject = Literal["domain", "url", "md5"]

REASONS: Final = {"domain": "domain_listed", "url": "url_listed", "md5": "md5_listed"}


class DenyList(NamedTuple):
    """A list and what it lists.

    Attributes:
        file: One entry a line (`#` begins a comment), or parquet with a column named `matches`.
        matches: A domain stands for all of its subdomains too; a URL is compared as it is.
    """

    file: Path
    matches: Subject

    def entries_sql(self) -> str:
        """Return a query for the entries, read afresh and never held by Python."""
        if self.file.suffix == ".parquet":
            entries = f"SELECT {self.matches} AS entry FROM {scan_sql([self.file])}"
        else:
            # a tab occurs in no domain, URL or hash, so a line is one column
            entries = (
                f"SELECT entry FROM read_csv({sql_text(str(self.file))}, header = false, "
                "columns = {'entry': 'VARCHAR'}, delim = '\\t', quote = '', escape = '', "
                "auto_detect = false)"
            )
        plain = "trim(entry)" if self.matches == "url" else "lower(trim(entry, ' .'))"
        return (
            f"SELECT {plain} AS entry FROM ({entries}) "
            "WHERE trim(entry) <> '' AND NOT starts_with(entry, '#')"
        )


class DenyListFilter(RuleFilter):
    """Judge by any number of lists of any length: each is a hash join, out of core if need be.

    Args:
        lists: In order; the first that names a row gives the reason.

    Raises:
        ValueError: A list cannot be read.
    """

    name = "deny_lists"

    def __init__(self, lists: Sequence[DenyList]) -> None:
        self._rules = tuple(Rule(REASONS[each.matches], _condition(each)) for each in lists)

    def rules(self) -> tuple[Rule, ...]:
        """Return a condition for each list."""
        return self._rules


def _condition(each: DenyList) -> str:
    """Say in SQL that a list names a row."""
    entries = each.entries_sql()
    depths = _depths(each, entries)
    if each.matches == "url":
        return f"trim(url) IN ({entries})"
    if each.matches == "md5":
        return f"lower(md5) IN ({entries})"
    labels = f"string_split(rtrim({HOST_SQL}, '.'), '.')"
    endings = (f"array_to_string({labels}[-{depth}:], '.') IN ({entries})" for depth in depths)
    return " OR ".join(endings) or "false"


def _depths(each: DenyList, entries: str) -> list[int]:
    """Return how many labels the entries of a list of domains have; and see that it can be read."""
    query = (
        f"SELECT DISTINCT len(string_split(entry, '.')) AS depth FROM ({entries}) ORDER BY depth"
    )
    try:
        return [depth for (depth,) in ask(query)]
    except duckdb.Error as error:
        raise ValueError(
            f"{each.file}: cannot be read as a list of {each.matches}s "
            f"({str(error).splitlines()[0]}); expected one a line, or parquet with a column "
            f"{each.matches}"
        ) from error
