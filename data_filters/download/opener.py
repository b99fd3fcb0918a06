"""The opener that img2dataset's `urlopen` meets: guarded, patient and polite.

Every attempt, with its redirects and its body, happens inside `open`, so that what may help is
tried again after a pause, and what is final is asked for once. img2dataset's own retries, which
repeat everything at once, stay at zero.
"""

import hashlib
import io
import ipaddress
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from wsgiref.headers import Headers

from data_filters.config import DownloadImages
from data_filters.download.address import Address
from data_filters.download.client import Client, RedirectError
from data_filters.download.guard import Deadline, Guard
from data_filters.download.hosts import Resolver, Slots
from data_filters.download.keep_alive import IdleConnections
from data_filters.download.opt_out import opt_out
from data_filters.download.reasons import FetchError, explain
from data_filters.download.robots import Robots

_TOOL: Final = "img2dataset"
"""Whoever forbids their images to this tool means us as well."""

_MAX_REDIRECTS: Final = 10


class Page(io.BytesIO):
    """What `urlopen` returns: a whole body to be read, with what came before it."""

    def __init__(self, body: bytes, *, headers: Headers, url: str, status: int) -> None:
        super().__init__(body)
        self.headers = headers
        self.url = url
        self.status = status


class PoliteOpener(urllib.request.OpenerDirector):
    """Fetch whole bodies within the limits of the configuration.

    Args:
        cfg: The limits.
        beat: Called after every URL, for whoever watches that work goes on.
    """

    def __init__(self, cfg: DownloadImages, *, beat: Callable[[], None]) -> None:
        super().__init__()
        self._cfg = cfg
        self._beat = beat
        guard = Guard(
            max_bytes=cfg.max_bytes,
            allowed_networks=tuple(map(ipaddress.ip_network, cfg.allowed_networks)),
            resolver=Resolver(cfg.dns_cache_seconds),
        )
        idle = IdleConnections(limit=cfg.max_idle_connections, seconds=cfg.max_idle_seconds)
        name = f"Mozilla/5.0 (compatible; {cfg.user_agent}; {_TOOL})"
        self._client = Client(
            guard, idle=idle, headers={"User-Agent": name}, timeout=cfg.timeout_seconds
        )
        self._slots: Slots[str] = Slots(cfg.max_per_host)
        self._agents = tuple(dict.fromkeys((cfg.user_agent.strip().lower(), _TOOL)))
        self._robots = Robots(self._bytes, agents=self._agents) if cfg.robots_txt else None

    def open(self, fullurl: Any, data: Any = None, timeout: float | None = None) -> Page:
        """Return the response with its body read.

        Raises:
            FetchError: With the reason, after as many attempts as can help.
        """
        del data, timeout  # nothing is ever sent, and the configuration knows the time
        try:
            url = fullurl if isinstance(fullurl, str) else fullurl.full_url
            address = Address.parse(url)
            self._ask(address)
            return self._persist(address, ask=self._ask)
        finally:
            self._beat()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._client.close()

    def _ask(self, address: Address) -> None:
        """Return if robots.txt, where it is heeded, lets us fetch it."""
        if self._robots is not None:
            self._robots.require(address)

    def _bytes(self, address: Address) -> bytes:
        """Fetch a robots.txt, wherever it lies: a redirect there needs nobody's leave."""
        try:
            return self._persist(address, ask=lambda _: None).read()
        finally:
            self._beat()

    def _persist(self, address: Address, *, ask: Callable[[Address], None]) -> Page:
        for attempt in range(self._cfg.retries + 1):
            try:
                return self._attempt(address, ask=ask)
            except FetchError as error:
                pause = self._pause(error, url=address.url, attempt=attempt)
                if attempt == self._cfg.retries or pause is None:
                    raise
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, address: Address, *, ask: Callable[[Address], None]) -> Page:
        """Fetch once, with redirects; only time on the wire counts, not that in a queue.

        A place in the queue of one host is given back before another host is turned to.
        """
        spent, seen = 0.0, {address}
        while True:
            with self._slots.hold(address.place.netloc):
                deadline = Deadline(self._cfg.total_timeout_seconds, spent=spent)
                begun = time.monotonic()
                try:
                    return self._get(address, deadline=deadline)
                except RedirectError as answer:
                    address = Address.parse(answer.url)
                except Exception as error:
                    raise explain(error) from error
                spent += time.monotonic() - begun
            if address in seen or len(seen) > _MAX_REDIRECTS:
                raise FetchError("redirect_loop")
            seen.add(address)
            ask(address)

    def _get(self, address: Address, *, deadline: Deadline) -> Page:
        response = self._client.get(address, accept=self._heed, deadline=deadline)
        return Page(
            response.body, headers=response.headers, url=address.url, status=response.status
        )

    def _heed(self, headers: Headers) -> None:
        objection = opt_out(headers, agents=self._agents)
        if objection is not None:
            raise FetchError("opted_out", objection)

    def _pause(self, error: FetchError, *, url: str, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; None where it would be in vain or too long.

        The pause doubles with every attempt. A part of it hangs on the URL, so that what failed
        together does not come back together, and yet nothing is drawn from a generator.
        """
        if not error.passing:
            return None
        if error.retry_after is not None and error.retry_after > self._cfg.max_backoff_seconds:
            return None
        digest = hashlib.sha256(f"{attempt} {url}".encode()).digest()
        spread = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
        pause: float = self._cfg.backoff_seconds * 2**attempt * spread
        pause = min(pause, self._cfg.max_backoff_seconds)
        return max(pause, error.retry_after or 0.0)
