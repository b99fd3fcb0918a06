"""What urllib may fetch here: http and https, public addresses, bounded bytes and time.

img2dataset 1.47 calls `urllib.request.urlopen(request, timeout=…)`, which uses the opener that the
process has installed. As it comes, it fetches `file:///etc/passwd` and any private address, reads
bodies without limit, and parses the CA bundle anew for every https request. The handlers here mend
that from outside; `opener` adds patience and manners.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from data_filters.download.hosts import Resolver
from data_filters.download.reasons import FetchError

_CHUNK: Final = 1 << 16
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Addresses that a gateway translates to the IPv4 address in their last four bytes."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Deadline(threading.local):
    """When the attempt that this thread is busy with must be over."""

    seconds = float("inf")
    moment = float("inf")

    def start(self, seconds: float, *, spent: float = 0.0) -> None:
        self.seconds = seconds
        self.moment = time.monotonic() + seconds - spent

    def check(self) -> None:
        if time.monotonic() > self.moment:
            raise FetchError("timeout", f"not over after {self.seconds:g} s")


DEADLINE: Final = _Deadline()


class _Socket(socket.socket):
    def recv_into(self, *arguments: Any) -> int:
        DEADLINE.check()
        return super().recv_into(*arguments)


class _SslSocket(ssl.SSLSocket):
    def recv_into(self, *arguments: Any) -> int:
        DEADLINE.check()
        return super().recv_into(*arguments)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Limits of a fetch.

    Attributes:
        max_bytes: Largest body.
        allowed_networks: Networks that may be contacted although they are not public.
        resolver: Where addresses come from.
    """

    max_bytes: int
    allowed_networks: tuple[Network, ...]
    resolver: Resolver

    def connect(self, address: tuple[str, int], timeout: float | None, *_: object) -> socket.socket:
        """Connect to the first allowed address that a host resolves to.

        The address that was checked is the one connected to, so a name that resolves differently a
        moment later gains nothing. Redirects come through here as well.

        Raises:
            FetchError: Every address is private, or the attempt has taken too long.
        """
        host, port = address
        error: OSError = FetchError("private_address", host)
        for family, kind, protocol, _name, place in self.resolver.addresses(host, port):
            if not self.allows(str(place[0])):
                continue
            DEADLINE.check()
            connection = _Socket(family, kind, protocol)
            connection.settimeout(timeout)
            try:
                connection.connect(place)
            except OSError as failure:
                connection.close()
                error = failure
            else:
                return connection
        raise error

    def allows(self, address: str) -> bool:
        """Whether an IP address may be contacted."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address):
            inner = ip.ipv4_mapped or ip.sixtofour
            if ip in _NAT64:
                inner = ipaddress.IPv4Address(ip.packed[-4:])
            if inner is not None:
                return self.allows(str(inner))
        if any(ip in network for network in self.allowed_networks):
            return True
        return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _bounded_response(guard: Guard) -> type[http.client.HTTPResponse]:
    too_many = f"more than {guard.max_bytes}"

    class BoundedResponse(http.client.HTTPResponse):
        """A response whose whole body is read within the limits, or not at all."""

        def read(self, amt: int | None = None) -> bytes:
            if amt is not None:
                return super().read(amt)
            if (self.length or 0) > guard.max_bytes:
                raise FetchError("too_many_bytes", too_many)
            chunks, size = [], 0
            while chunk := super().read(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > guard.max_bytes:
                    raise FetchError("too_many_bytes", too_many)
            if self.length:
                raise http.client.IncompleteRead(b"".join(chunks), self.length)
            return b"".join(chunks)

    return BoundedResponse


def _connection(kind: type[http.client.HTTPConnection], guard: Guard) -> Callable[..., Any]:
    response = _bounded_response(guard)

    def make(host: str, **settings: Any) -> http.client.HTTPConnection:
        connection = kind(host, **settings)
        connection.response_class = response
        connection._create_connection = guard.connect  # type: ignore[attr-defined]  # noqa: SLF001
        return connection

    return make


class _Http(urllib.request.HTTPHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._make = _connection(http.client.HTTPConnection, guard)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)


class _Https(urllib.request.HTTPSHandler):
    """One TLS context for every request: reading the CA bundle costs tens of milliseconds."""

    def __init__(self, guard: Guard) -> None:
        self._shared = ssl.create_default_context()
        self._shared.sslsocket_class = _SslSocket
        super().__init__(context=self._shared)
        self._make = _connection(http.client.HTTPSConnection, guard)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req, context=self._shared)


class _UnknownScheme(urllib.request.BaseHandler):
    def unknown_open(self, req: urllib.request.Request) -> NoReturn:
        raise FetchError("scheme_not_allowed", req.type)


class RedirectError(Exception):
    """The answer is to ask elsewhere: at `url`, which may be on another host."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Report where a redirect leads instead of following it: who asks there must ask politely."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> NoReturn:
        del req, code, msg, headers
        fp.close()
        raise RedirectError(newurl)


def build_director(guard: Guard) -> urllib.request.OpenerDirector:
    """Return an opener with exactly the handlers listed: no file, ftp, data, proxy or cookies."""
    director = urllib.request.OpenerDirector()
    for handler in (
        _Http(guard),
        _Https(guard),
        _UnknownScheme(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director
