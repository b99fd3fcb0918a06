"""What may be contacted: public addresses, for a bounded time.

As it comes, img2dataset 1.47 fetches `file:///etc/passwd` and any private address, and a server
that drips keeps it for ever. The guard mends that from below; `client` speaks through its sockets,
and `opener` adds patience and manners.
"""

import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Final

from data_filters.download.hosts import Resolver
from data_filters.download.reasons import FetchError

_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""The public part of IPv6; site-local `fec0::`, which Python calls global, lies outside."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Addresses that a gateway translates to the IPv4 address in their last four bytes."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Deadline:
    """When an attempt must be over.

    Args:
        seconds: What it may take.
        spent: What has been taken before.
    """

    def __init__(self, seconds: float, *, spent: float = 0.0) -> None:
        self._seconds = seconds
        self._moment = time.monotonic() + seconds - spent

    def check(self) -> None:
        """Return while there is time.

        Raises:
            FetchError: `timeout`.
        """
        if time.monotonic() > self._moment:
            raise FetchError("timeout", f"not over after {self._seconds:g} s")


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

    def connect(self, host: str, port: int, *, timeout: float, deadline: Deadline) -> socket.socket:
        """Connect to the first allowed address that a host resolves to.

        The address that was checked is the one connected to, so a name that resolves differently a
        moment later gains nothing. Redirects come through here as well.

        Args:
            host: Name or address.
            port: TCP port.
            timeout: Longest silence, seconds, now and later.
            deadline: When the attempt must be over.

        Raises:
            FetchError: Every address is private, or the attempt has taken too long.
            OSError: No allowed address answers.
        """
        error: OSError = FetchError("private_address", host)
        for family, kind, protocol, _name, place in self.resolver.addresses(host, port):
            if not self.allows(str(place[0])):
                continue
            deadline.check()
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        if isinstance(ip, ipaddress.IPv6Address):
            return ip.is_global and ip in _GLOBAL_UNICAST
        return ip.is_global and not ip.is_multicast
