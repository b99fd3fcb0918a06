"""Drop rows that a list names: domains not to be fetched, opt-outs by URL, known bytes by MD5."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import duckdb

from data_filters.base import Rule, RuleFilter, SqlFunction
from data_filters.io.database import ask
from data_filters.io.parquet import scan_sql, sql_text
from data_filters.metadata.address import ASCII_HOST, ASCII_HOST_SQL

Subject = Literal["domain", "url", "md5"]

REASONS: Final = {"domain": "domain_listed", "url": "url_listed", "md5": "md5_listed"}

_PLAIN: Final = {
    "domain": "lower(rtrim(ltrim(entry, ' *.'), ' .'))",
    "url": "trim(entry)",
    "md5": "lower(trim(entry))",
}
"""How entries are compared; `*.example.org` and `.example.org` are `example.org`."""

_FORM: Final = {
    "domain": r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]",
    "url": r"[A-Za-z][A-Za-z0-9+.-]*:(?s:.+)",
    "md5": "[0-9a-f]{32}",
}
"""What an entry looks like: one of another form would never match, and nobody would know."""

_EXAMPLE: Final = {
    "domain": "example.org or xn--mnchen-3ya.de",
    "url": "https://example.org/1.jpg",
    "md5": "32 hexadecimal digits",
}


class DenyList(NamedTuple):
    """A list and what it lists.

    Attributes:
        file: One entry a line (`#` begins a comment line), gzipped if it ends in `.gz`; or parquet
            with a column named `matches`.
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
        return (
            f"SELECT {_PLAIN[self.matches]} AS entry FROM ({entries}) "
            "WHERE trim(entry) <> '' AND NOT starts_with(ltrim(entry), '#')"
        )


class DenyListFilter(RuleFilter):
    """Judge by any number of lists of any length: each is a hash join, out of core if need be.

    Args:
        lists: In order; the first that names a row gives the reason.

    Raises:
        ValueError: A list cannot be read, or holds what is no entry.
    """

    name = "deny_lists"

    def __init__(self, lists: Sequence[DenyList]) -> None:
        self._rules = tuple(Rule(REASONS[each.matches], _condition(each)) for each in lists)
        self._domains = any(each.matches == "domain" for each in lists)

    def functions(self) -> tuple[SqlFunction, ...]:
        """Return what spells hosts in ASCII, if there are lists of domains."""
        return (ASCII_HOST,) if self._domains else ()

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
    labels = f"string_split(rtrim({ASCII_HOST_SQL}, '.'), '.')"
    endings = (f"array_to_string({labels}[-{depth}:], '.') IN ({entries})" for depth in depths)
    return " OR ".join(endings) or "false"


def _depths(each: DenyList, entries: str) -> list[int]:
    """Return how many labels entries have, if they are domains, and see that all can match."""
    query = (
        f"SELECT len(string_split(entry, '.')) AS depth, count(*), "
        f"count(*) FILTER (NOT fine), min(entry) FILTER (NOT fine) FROM (SELECT entry, "
        f"regexp_full_match(entry, '{_FORM[each.matches]}') AS fine FROM ({entries})) "
        "GROUP BY depth ORDER BY depth"
    )
    try:
        found = ask(query)
    except duckdb.Error as error:
        raise ValueError(
            f"{each.file}: cannot be read as a list of {each.matches}s "
            f"({str(error).splitlines()[0]}); expected one a line, or parquet with a column "
            f"{each.matches}"
        ) from error
    odd = [entry for *_, entry in found if entry is not None]
    if odd:
        total, bad = (sum(row[column] for row in found) for column in (1, 2))
        raise ValueError(
            f"{each.file}: {bad:,} of {total:,} entries are no {each.matches}, such as "
            f"{min(odd)[:80]!r}; expected entries like {_EXAMPLE[each.matches]}: repair or remove "
            "them"
        )
    return [depth for depth, *_ in found]
