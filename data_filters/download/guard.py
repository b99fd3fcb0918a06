"""What may be contacted: public addresses, for a bounded time.

As it comes, img2dataset 1.47 fetches `file:///etc/passwd` and any private address, and a server
that drips keeps it for ever. The guard's sockets mend that from below; `client` speaks through
them, and `opener` adds patience and manners.
"""

import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from data_filters.download.hosts import Resolver
from data_filters.download.reasons import FetchError

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


class SslSocket(ssl.SSLSocket):
    """A TLS socket that gives up when the attempt has taken too long."""

    def recv_into(self, *arguments: Any) -> int:
        """Receive as `ssl.SSLSocket` does, while there is time."""
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
