"""Drop rows without an address, with a scheme that is not fetched, or on a denied domain."""

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from data_filters.base import Rule, RuleFilter, SqlFunction
from data_filters.io.parquet import sql_text

_PLAIN: Final = "://[A-Za-z0-9][^/?#@:]*/"
"""What follows the scheme of nearly every URL: a host without user and port, and a path."""

HOST_SQL: Final = (
    f"CASE WHEN regexp_matches(url, '^[a-z]+{_PLAIN}') THEN lower(split_part(url, '/', 3)) "
    "ELSE lower(regexp_extract(url, "
    r"'^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?(\[[^\]]*\]|[^/?#:]*)', 1)) END"
)
"""DuckDB expression for the host of a URL, without user and port; empty where there is none."""

ASCII_HOST_SQL: Final = (
    f"CASE WHEN strlen(url) > length(url) THEN ascii_host({HOST_SQL}) ELSE {HOST_SQL} END"
)
"""The same as the network spells it; calls the function `ASCII_HOST` for URLs beyond ASCII."""

_SCHEME_SQL: Final = "lower(regexp_extract(url, '^([A-Za-z][A-Za-z0-9+.-]*):', 1))"


def ascii_host(host: str) -> str:
    """Spell a host as it is asked for (IDNA): whatever a domain is written in, it is one domain."""
    try:
        return host if host.isascii() else host.encode("idna").decode().lower()
    except UnicodeError:
        return host  # nobody can ask for it


def _ascii_hosts(hosts: pa.Array) -> pa.Array:
    spelt = (None if host is None else ascii_host(host) for host in hosts.to_pylist())
    return pa.array(spelt, pa.string())


ASCII_HOST: Final = SqlFunction("ascii_host", _ascii_hosts)


class AddressFilter(RuleFilter):
    """Judge where an image lies. Local rows have a path instead of a URL and pass.

    Args:
        allowed_schemes: URL schemes that may be fetched, such as `https`.
        denied_domains: Domains refused together with all of their subdomains.
    """

    name = "address"

    def __init__(self, *, allowed_schemes: Sequence[str], denied_domains: Sequence[str]) -> None:
        self._schemes = [scheme.lower() for scheme in allowed_schemes]
        self._domains = [ascii_host(domain.lower().strip(".")) for domain in denied_domains]

    def functions(self) -> tuple[SqlFunction, ...]:
        """Return what spells hosts in ASCII, if domains are denied."""
        return (ASCII_HOST,) if self._domains else ()

    def rules(self) -> tuple[Rule, ...]:
        """Return the conditions, from the most basic defect on."""
        schemes = ", ".join(map(sql_text, self._schemes))
        rules = [
            Rule("address_missing", "trim(coalesce(url, path, '')) = ''"),
            Rule("scheme_not_allowed", f"{_SCHEME_SQL} NOT IN ({schemes})"),
            Rule("host_missing", f"{HOST_SQL} = ''"),
        ]
        if self._domains:
            either = "|".join(map(re.escape, self._domains))
            pattern = sql_text(rf"(^|\.)({either})\.?$")
            rules.append(Rule("domain_denied", f"regexp_matches({ASCII_HOST_SQL}, {pattern})"))
        return tuple(rules)

    def surely_kept(self) -> str | None:
        """A URL with an allowed scheme and a plain host; domains need a closer look."""
        if self._domains:
            return None
        schemes = "|".join(map(re.escape, self._schemes))
        return f"regexp_matches(url, {sql_text(f'^({schemes}){_PLAIN}')})"
