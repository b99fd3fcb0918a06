"""Requests over connections that stay open, within the guard's limits.

img2dataset 1.47 calls `urllib.request.urlopen(request, timeout=…)`, which opens a connection for
every request and, where no opener is installed, parses the CA bundle anew for every https one. Here
are one TLS context for all, connections that are used again, and sessions that are resumed.
"""

import socket
import ssl
import string
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NoReturn
from urllib.parse import quote, urljoin
from wsgiref.headers import Headers

from data_filters.download.address import Address, Place
from data_filters.download.guard import Deadline, Guard
from data_filters.download.keep_alive import IdleConnections, Sessions
from data_filters.download.reasons import FetchError, refused
from data_filters.download.response import Response

_MAX_DRAINED: Final = 1 << 16
"""Bytes of a page that nobody wants, read for the sake of its connection."""

_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CLOSED: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a kept connection says, before an answer begins, that the server had closed it."""


class RedirectError(Exception):
    """The answer is to ask elsewhere: at `url`, which may be on another host."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Client:
    """Get over http and https; who asks elsewhere, and who asks again, is the caller.

    Args:
        guard: What may be contacted, and how much may come back.
        idle: Connections to use again.
        headers: Of every request.
        timeout: Longest silence, seconds.
    """

    def __init__(
        self, guard: Guard, *, idle: IdleConnections, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._guard = guard
        self._idle = idle
        self._timeout = timeout
        self._sessions = Sessions()
        self._tls = ssl.create_default_context()
        fields = {"Accept-Encoding": "identity", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    def close(self) -> None:
        """Close the connections that were kept."""
        self._idle.close()

    def get(
        self, address: Address, *, accept: Callable[[Headers], None], deadline: Deadline
    ) -> Response:
        """Return an answer of success, its body read.

        Args:
            address: What to ask for.
            accept: Called with the headers before the body is read; raises to do without it.
            deadline: When the attempt must be over.

        Raises:
            RedirectError: The answer is a redirect; it is not followed.
            FetchError: No success, no answer that HTTP knows, or a limit of the guard.
            OSError: From the connection.
        """
        response = self._ask(address, deadline=deadline)
        try:
            if 200 <= response.status < 300:
                _require_identity(response)
                accept(response.headers)
                response.read_body()
            else:
                _drain(response)
                _refuse(response, url=address.url)
        finally:
            response.close()
            if response.can_be_followed:
                self._idle.give(address.place, response.wire)
            else:
                response.wire.close()
        return response

    def _ask(self, address: Address, *, deadline: Deadline) -> Response:
        """Send the request and read the answer's head.

        A kept connection may have been closed by the server at this very moment. That says nothing
        of the request, which is repeated once, at once, on a fresh one.
        """
        place = address.place
        request = f"GET {address.target} HTTP/1.1\r\nHost: {place.netloc}\r\n{self._headers}\r\n"
        data = request.encode("ascii")
        kept = self._idle.take(place)
        if kept is not None:
            with suppress(*_CLOSED):
                return self._send(kept, data, deadline=deadline)
        fresh = self._connect(place, deadline=deadline)
        response = self._send(fresh, data, deadline=deadline)
        if isinstance(fresh, ssl.SSLSocket) and fresh.session is not None:
            self._sessions.remember(place.netloc, fresh.session)
        return response

    def _send(self, wire: socket.socket, request: bytes, *, deadline: Deadline) -> Response:
        """Ask on a connection, which is closed where no answer comes of it."""
        response = Response(wire, deadline=deadline, max_bytes=self._guard.max_bytes)
        try:
            deadline.check()
            wire.sendall(request)
            response.read_head()
        except BaseException:
            response.close()
            wire.close()
            raise
        return response

    def _connect(self, place: Place, *, deadline: Deadline) -> socket.socket:
        host, port = place.host_and_port
        wire = self._guard.connect(host, port, timeout=self._timeout, deadline=deadline)
        if place.scheme == "http":
            return wire
        session = self._sessions.recall(place.netloc)
        return self._tls.wrap_socket(wire, server_hostname=host, session=session)


def _drain(response: Response) -> None:
    """Read a short page that nobody wants; whether it can be read changes nothing."""
    with suppress(OSError):
        response.read_body(_MAX_DRAINED)


def _refuse(response: Response, *, url: str) -> NoReturn:
    location = response.headers.get("Location")
    if response.status in _REDIRECTS and location is not None:
        written = quote(location, encoding="iso-8859-1", safe=string.punctuation)
        raise RedirectError(urljoin(url, written))
    after = response.headers.get("Retry-After")
    raise refused(response.status, response.phrase, retry_after=after)


def _require_identity(response: Response) -> None:
    coding = response.headers.get("Content-Encoding")
    if coding is not None and coding.lower() in _CODINGS:
        raise FetchError("bad_response", f"Content-Encoding {coding} was not asked for")
