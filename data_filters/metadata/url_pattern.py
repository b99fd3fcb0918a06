"""Drop rows whose URL looks like that of something else than a picture: icons, trackers."""

from collections.abc import Sequence

import duckdb

from data_filters.base import Rule, RuleFilter
from data_filters.io.database import ask
from data_filters.io.parquet import sql_text


class UrlPatternFilter(RuleFilter):
    """Judge the whole URL by regular expressions. Local rows have a path instead, and pass.

    Args:
        denied: RE2 patterns, searched anywhere in the URL.

    Raises:
        ValueError: One of them is no pattern.
    """

    name = "url_pattern"

    def __init__(self, denied: Sequence[str]) -> None:
        self._denied = tuple(denied)
        for pattern in self._denied:
            try:
                ask("SELECT regexp_matches('', ?)", [pattern])
            except duckdb.Error as error:
                raise ValueError(
                    f"filter_metadata.denied_url_patterns: {pattern!r} is no RE2 pattern "
                    f"({str(error).splitlines()[0]})"
                ) from error

    def rules(self) -> tuple[Rule, ...]:
        """Return one condition for all patterns."""
        if not self._denied:
            return ()
        either = " OR ".join(
            f"regexp_matches(url, {sql_text(pattern)})" for pattern in self._denied
        )
        return (Rule("url_pattern_denied", either),)
