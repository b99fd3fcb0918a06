"""Whether a response says that its image must not be used."""

import re
from collections.abc import Collection
from typing import Final
from wsgiref.headers import Headers

DIRECTIVES: Final = frozenset({"noai", "noimageai", "noml", "noindex", "noimageindex", "none"})
"""Values of X-Robots-Tag that forbid what is done here; `none` is short for noindex, nofollow."""

_VALUED: Final = frozenset(
    {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
)
_AGENT: Final = re.compile(r"[\w*.-]+")


def opt_out(headers: Headers, *, agents: Collection[str]) -> str | None:
    """Return the objection a response's headers state, or None.

    X-Robots-Tag holds directives separated by commas; those after `name:` are for the robot of that
    name only. TDM-Reservation is the protocol of the W3C community group on text and data mining.

    Args:
        headers: Of the response.
        agents: Names we answer to, lower case.
    """
    for value in headers.get_all("X-Robots-Tag"):
        agent = None
        for item in value.split(","):
            name, colon, rest = (part.strip() for part in item.partition(":"))
            if colon and name.lower() not in _VALUED and _AGENT.fullmatch(name):
                agent, directive = name.lower(), rest.lower()
            else:
                directive = item.strip().lower()
            if directive in DIRECTIVES and (agent in (None, "*") or agent in agents):
                return f"X-Robots-Tag: {directive}"
    if headers.get("TDM-Reservation", "").strip() == "1":
        return "TDM-Reservation: 1"
    return None
