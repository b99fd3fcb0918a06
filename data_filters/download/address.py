"""Where a URL leads, written as HTTP carries it."""

from typing import Final, NamedTuple, Self
from urllib.parse import quote, urlsplit

from data_filters.download.reasons import FetchError

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
            parts = urlsplit(url.strip())
            if parts.scheme not in ("http", "https"):
                raise FetchError("scheme_not_allowed", parts.scheme)
            name, port = parts.hostname, parts.port
            if name is None or "@" in parts.netloc:
                raise FetchError("bad_url", "no host" if name is None else "names a user")
            host = name.encode("idna").decode()
            path = quote(parts.path or "/", safe=_SAFE)
            query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        except ValueError as error:
            raise FetchError("bad_url", str(error)) from error
        if not host.isprintable() or " " in host:
            raise FetchError("bad_url", "a host with blanks or control characters")
        host = f"[{host}]" if ":" in host else host
        netloc = host if port is None else f"{host}:{port}"
        return cls(Place(parts.scheme, netloc), path + query)

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.place.scheme}://{self.place.netloc}{self.target}"
