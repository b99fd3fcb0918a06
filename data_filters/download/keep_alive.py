"""What is kept of a host between two requests: open connections, and TLS sessions to resume."""

import select
import socket
import ssl
import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from data_filters.download.address import Place

_MAX_SESSIONS: Final = 1 << 13
"""Hosts whose TLS session is remembered; the one seen longest ago is forgotten."""


class _Idle(NamedTuple):
    place: Place
    wire: socket.socket
    since: float


class IdleConnections:
    """Connections that nobody uses at the moment, bounded in number and age.

    Whoever wants a new connection to a host must have taken one from here first, if any is left:
    so open connections to a host, idle ones included, are never more than were ever used at once.

    Args:
        limit: Most of them, over all hosts; the host turned to longest ago loses its own first.
        seconds: How long one may lie idle.
    """

    def __init__(self, *, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._hosts: OrderedDict[str, list[_Idle]] = OrderedDict()
        self._number = 0

    def take(self, place: Place) -> socket.socket | None:
        """Return a connection to use alone, or None; one that cannot be used is closed."""
        with self._lock:
            idle = self._pop(place.netloc, newest=True)
        if idle is None:
            return None
        if idle.place == place and not self._is_stale(idle):
            return idle.wire
        idle.wire.close()
        return None

    def give(self, place: Place, wire: socket.socket) -> None:
        """Keep a connection whose last answer is read to its end."""
        now = time.monotonic()
        surplus = []
        with self._lock:
            self._hosts.setdefault(place.netloc, []).append(_Idle(place, wire, now))
            self._hosts.move_to_end(place.netloc)
            self._number += 1
            while self._number > self._limit or (
                self._number and now - self._oldest().since > self._seconds
            ):
                surplus.append(self._pop_oldest())
        for idle in surplus:
            idle.wire.close()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            left = [self._pop_oldest() for _ in range(self._number)]
        for idle in left:
            idle.wire.close()

    def _is_stale(self, idle: _Idle) -> bool:
        """Whether it is too old, or has something to say: its end, or what nobody asked."""
        if time.monotonic() - idle.since > self._seconds:
            return True
        poll = select.poll()
        poll.register(idle.wire, select.POLLIN)
        return bool(poll.poll(0))

    def _oldest(self) -> _Idle:
        return next(iter(self._hosts.values()))[0]

    def _pop_oldest(self) -> _Idle:
        idle = self._pop(next(iter(self._hosts)), newest=False)
        assert idle is not None
        return idle

    def _pop(self, host: str, *, newest: bool) -> _Idle | None:
        connections = self._hosts.get(host)
        if connections is None:
            return None
        idle = connections.pop(-1 if newest else 0)
        self._number -= 1
        if not connections:
            del self._hosts[host]
        return idle


class Sessions:
    """TLS sessions by host: who resumes one is spared the certificates, which were verified."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    def recall(self, netloc: str) -> ssl.SSLSession | None:
        """Return the latest session with a host, or None."""
        with self._lock:
            return self._sessions.get(netloc)

    def remember(self, netloc: str, session: ssl.SSLSession) -> None:
        """Keep the session of a handshake that is over."""
        with self._lock:
            self._sessions[netloc] = session
            self._sessions.move_to_end(netloc)
            if len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)
