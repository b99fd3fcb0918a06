"""Where a URL leads, written as HTTP carries it."""

import re
from typing import Final, NamedTuple, Self
from urllib.parse import quote, urlsplit

from data_filters.download.reasons import FetchError

_NETLOC: Final = re.compile(
    r"(?P<host>[^\s\x00-\x1f\x7f:@\[\]]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]*))?"
)
_MAX_PORT: Final = 65535
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"


class Place(NamedTuple):
    """Whom a connection leads to.

    Attributes:
        scheme: `http` or `https`.
        netloc: `host[:port]`, in ASCII.
    """

    scheme: str
    netloc: str


class Address(NamedTuple):
    """Whom to ask, and for what.

    Attributes:
        place: Whom.
        target: Path and query, percent-encoded.
    """

    place: Place
    target: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL: host in ASCII, spaces and other scripts percent-encoded, no fragment.

        Raises:
            FetchError: `scheme_not_allowed` or `bad_url`.
        """
        try:
            scheme, netloc, path, query, _ = urlsplit(url.strip())
            if scheme not in ("http", "https"):
                raise FetchError("scheme_not_allowed", scheme)
            found = _NETLOC.fullmatch(netloc)
            if found is None or int(found["port"] or 0) > _MAX_PORT:
                raise FetchError("bad_url", "names a user" if "@" in netloc else "no host and port")
            host = found["host"].encode("idna").decode().lower()
        except ValueError as error:
            raise FetchError("bad_url", str(error)) from error
        port = f":{int(found['port'])}" if found["port"] else ""
        target = (path or "/") + (f"?{query}" if query else "")
        return cls(Place(scheme, host + port), quote(target, safe=_SAFE))

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.place.scheme}://{self.place.netloc}{self.target}"
