"""Requests over connections that stay open: http.client within the guard's limits.

img2dataset 1.47 calls `urllib.request.urlopen(request, timeout=…)`, which opens a connection for
every request and, where no opener is installed, parses the CA bundle anew for every https one. Here
are one TLS context for all, connections that are used again, and sessions that are resumed.
"""

import http.client
import ssl
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from data_filters.download.guard import DEADLINE, Guard, SslSocket
from data_filters.download.keep_alive import IdleConnections, Place, Sessions
from data_filters.download.reasons import FetchError, refused

_CHUNK: Final = 1 << 16
_MAX_DRAINED: Final = 1 << 16
"""Bytes of a page that nobody wants, read for the sake of its connection."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CLOSED: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a kept connection says, before an answer began, that the server had closed it."""


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
    """

    def __init__(self, guard: Guard, *, idle: IdleConnections) -> None:
        self._guard = guard
        self._idle = idle
        self._sessions = Sessions()
        self._tls = ssl.create_default_context()
        self._tls.sslsocket_class = SslSocket

    def close(self) -> None:
        """Close the connections that were kept."""
        self._idle.close()

    @contextmanager
    def get(
        self, url: str, *, headers: Mapping[str, str], timeout: float
    ) -> Iterator["BoundedResponse"]:
        """Yield an answer of success, its body unread; what the block leaves unread is not read.

        Args:
            url: Absolute, http or https, in ASCII.
            headers: Of the request.
            timeout: Longest silence, seconds.

        Raises:
            RedirectError: The answer is a redirect; it is not followed.
            FetchError: A status that is no success, or a limit of the guard.
            OSError, http.client.HTTPException: From the connection.
        """
        scheme, netloc, path, query, _ = urlsplit(url)
        place, target = Place(scheme, netloc), f"{path}?{query}" if query else path
        connection, answer = self._ask(place, target, headers=headers, timeout=timeout)
        try:
            if not 200 <= answer.status < 300:
                _drain(answer)
                _refuse(url, answer)
            yield answer
        finally:
            if answer.isclosed() and not answer.length and connection.sock is not None:
                self._idle.give(place, connection)
            else:
                answer.close()
                connection.close()

    def _ask(
        self, place: Place, target: str, *, headers: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, "BoundedResponse"]:
        """Send the request and read the answer's head.

        A kept connection may have been closed by the server at this very moment. That says nothing
        of the request, which is repeated once, at once, on a fresh one.
        """
        kept = self._idle.take(place)
        if kept is not None:
            try:
                return kept, _send(kept, target, headers)
            except _CLOSED:
                kept.close()
            except BaseException:
                kept.close()
                raise
        fresh = self._open(place, timeout=timeout)
        try:
            fresh.connect()
            wire = fresh.sock  # `fresh` forgets it where the server will close
            answer = _send(fresh, target, headers)
        except BaseException:
            fresh.close()
            raise
        if isinstance(wire, ssl.SSLSocket) and wire.session is not None:
            self._sessions.remember(place.netloc, wire.session)
        return fresh, answer

    def _open(self, place: Place, *, timeout: float) -> http.client.HTTPConnection:
        connection: Any
        if place.scheme == "https":
            connection = _Https(place.netloc, timeout=timeout, context=self._tls)
            connection.session = self._sessions.recall(place.netloc)
        else:
            connection = http.client.HTTPConnection(place.netloc, timeout=timeout)
        connection._create_connection = self._guard.connect  # noqa: SLF001
        connection.response_class = self._guard_response
        return connection  # type: ignore[no-any-return]

    def _guard_response(self, *arguments: Any, **options: Any) -> "BoundedResponse":
        return BoundedResponse(*arguments, max_bytes=self._guard.max_bytes, **options)


class _Https(http.client.HTTPSConnection):
    """A connection that resumes the session of an earlier one to the same host."""

    session: ssl.SSLSession | None = None
    _context: ssl.SSLContext

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(
            self.sock, server_hostname=self.host, session=self.session
        )


class BoundedResponse(http.client.HTTPResponse):
    """A response whose whole body is read within the limits, or not at all."""

    def __init__(self, *arguments: Any, max_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._max_bytes = max_bytes

    def body(self) -> bytes:
        """Read to the end.

        Raises:
            FetchError: More bytes than allowed, or the time is over.
            http.client.IncompleteRead: Fewer bytes than announced.
        """
        if (self.length or 0) > self._max_bytes:
            raise self._too_many()
        chunks, size = [], 0
        while chunk := self.read(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_many()
        if self.length:
            raise http.client.IncompleteRead(b"".join(chunks), self.length)
        return b"".join(chunks)

    def _too_many(self) -> FetchError:
        return FetchError("too_many_bytes", f"more than {self._max_bytes}")


def _send(
    connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
) -> BoundedResponse:
    DEADLINE.check()
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    assert isinstance(answer, BoundedResponse)
    return answer


def _drain(answer: BoundedResponse) -> None:
    """Read a short page that nobody wants; whether it can be read changes nothing."""
    if answer.length is not None and answer.length <= _MAX_DRAINED:
        try:
            answer.read()
        except (OSError, http.client.HTTPException):
            answer.close()


def _refuse(url: str, answer: BoundedResponse) -> None:
    location = answer.headers.get("Location")
    if answer.status in _REDIRECTS and location is not None:
        written = quote(location, encoding="iso-8859-1", safe=string.punctuation)
        raise RedirectError(urljoin(url, written))
    raise refused(answer.status, answer.reason, retry_after=answer.headers.get("Retry-After"))
