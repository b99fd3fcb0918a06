"""What is kept per host: places in its queue, and its addresses."""

import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MAX_HOSTS: Final = 1 << 15
"""Hosts remembered; who was not asked for longest is forgotten."""

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name and place, as `socket.getaddrinfo` returns them."""


class Slots(Generic[Key]):
    """At most `limit` threads at a time for each key; keys nobody holds take no memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: dict[Key, int] = {}
        self._queues: dict[Key, deque[threading.Lock]] = {}

    @contextmanager
    def hold(self, key: Key) -> Iterator[None]:
        """Wait for a place, first come, first served, and keep it while the block runs."""
        gate = None
        with self._lock:
            held = self._held.get(key, 0)
            if held < self._limit:
                self._held[key] = held + 1
            else:
                gate = threading.Lock()
                gate.acquire()
                self._queues.setdefault(key, deque()).append(gate)
        if gate is not None:
            gate.acquire()  # until somebody hands their place over
        try:
            yield
        finally:
            self._leave(key)

    def _leave(self, key: Key) -> None:
        with self._lock:
            queue = self._queues.get(key)
            if queue is not None:
                queue.popleft().release()
                if not queue:
                    del self._queues[key]
            elif self._held[key] == 1:
                del self._held[key]
            else:
                self._held[key] -= 1


@dataclass
class Memory(Generic[Key, Value]):
    """Answers by key, for `seconds` each; a question is asked by one thread at a time.

    Attributes:
        seconds: How long an answer holds.
    """

    seconds: float = float("inf")
    _flights: Slots[Key] = field(default_factory=lambda: Slots(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _answers: OrderedDict[Key, tuple[float, Value]] = field(default_factory=OrderedDict)

    def recall(self, key: Key, ask: Callable[[], Value]) -> Value:
        """Return the answer in memory, or `ask()`; what it raises is not remembered."""
        answer = self._known(key)
        if answer is not None:
            return answer
        with self._flights.hold(key):
            answer = self._known(key)  # by now
            if answer is not None:
                return answer
            answer = ask()
            with self._lock:
                self._answers[key] = (time.monotonic() + self.seconds, answer)
                self._answers.move_to_end(key)
                if len(self._answers) > _MAX_HOSTS:
                    self._answers.popitem(last=False)
            return answer

    def _known(self, key: Key) -> Value | None:
        with self._lock:
            expires, answer = self._answers.get(key, (0.0, None))
            if answer is None or time.monotonic() >= expires:
                return None
            self._answers.move_to_end(key)
            return answer


class Resolver:
    """Host names to addresses, each asked for once in `seconds`, however many threads need it.

    A name that does not exist is remembered as well; a resolver that is busy is not.
    """

    def __init__(self, seconds: float) -> None:
        self._memory: Memory[tuple[str, int], list[Address] | socket.gaierror] = Memory(seconds)

    def addresses(self, host: str, port: int) -> list[Address]:
        """Return where a host can be reached.

        Raises:
            socket.gaierror: Nowhere.
        """
        found = self._memory.recall((host, port), lambda: _resolve(host, port))
        if isinstance(found, socket.gaierror):
            raise found
        return found


def _resolve(host: str, port: int) -> list[Address] | socket.gaierror:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        return socket.gaierror(error.errno, error.strerror)
