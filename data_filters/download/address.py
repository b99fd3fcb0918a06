"""Where a URL leads, written as HTTP carries it."""

import re
from typing import Final, NamedTuple, Self
from urllib.parse import quote, urlsplit

from data_filters.download.reasons import FetchError

_NETLOC: Final = re.compile(
    r"(?P<host>[^\s\x00-\x1f\x7f:@\[\]]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]*))?"
)
_MAX_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"


class Place(NamedTuple):
    """Whom a connection leads to.

    Attributes:
        scheme: `http` or `https`.
        netloc: `host[:port]`, in ASCII; without a port that is the scheme's own, so that a host has
            one name.
    """

    scheme: str
    netloc: str

    @property
    def host_and_port(self) -> tuple[str, int]:
        """What to connect to; IPv6 addresses without brackets."""
        address = urlsplit(f"//{self.netloc}")
        return address.hostname or "", address.port or _DEFAULT_PORTS[self.scheme]


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
            default = _DEFAULT_PORTS[scheme]
            port = int(found["port"] or default) if found else 0
            if found is None or not 0 < port <= _MAX_PORT:
                raise FetchError("bad_url", "names a user" if "@" in netloc else "no host and port")
            host = found["host"].encode("idna").decode().lower()
        except ValueError as error:
            raise FetchError("bad_url", str(error)) from error
        netloc = host if port == default else f"{host}:{port}"
        target = (path or "/") + (f"?{query}" if query else "")
        return cls(Place(scheme, netloc), quote(target, safe=_SAFE))

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.place.scheme}://{self.place.netloc}{self.target}"
