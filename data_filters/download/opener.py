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
from urllib.parse import quote, urlsplit
from urllib.response import addinfourl

from data_filters.config import DownloadImages
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

_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"


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

    def open(self, fullurl: Any, data: Any = None, timeout: float | None = None) -> addinfourl:
        """Return the response with its body read.

        Raises:
            FetchError: With the reason, after as many attempts as can help.
        """
        del data, timeout  # nothing is ever sent, and the configuration knows the time
        try:
            address = normalise(fullurl if isinstance(fullurl, str) else fullurl.full_url)
            self._ask(address)
            return self._persist(address, ask=self._ask)
        finally:
            self._beat()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._client.close()

    def _ask(self, url: str) -> None:
        """Return if robots.txt, where it is heeded, lets us fetch `url`."""
        if self._robots is not None:
            self._robots.require(url)

    def _bytes(self, url: str) -> bytes:
        """Fetch a robots.txt, wherever it lies: a redirect there needs nobody's leave."""
        try:
            return self._persist(url, ask=lambda _: None).read()
        finally:
            self._beat()

    def _persist(self, url: str, *, ask: Callable[[str], None]) -> addinfourl:
        for attempt in range(self._cfg.retries + 1):
            try:
                return self._attempt(url, ask=ask)
            except FetchError as error:
                pause = self._pause(error, url=url, attempt=attempt)
                if attempt == self._cfg.retries or pause is None:
                    raise
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, url: str, *, ask: Callable[[str], None]) -> addinfourl:
        """Fetch once, with redirects; only time on the wire counts, not that in a queue.

        A place in the queue of one host is given back before another host is turned to.
        """
        spent, seen = 0.0, {url}
        while True:
            with self._slots.hold(urlsplit(url).netloc):
                deadline = Deadline(self._cfg.total_timeout_seconds, spent=spent)
                begun = time.monotonic()
                try:
                    return self._get(url, deadline=deadline)
                except RedirectError as answer:
                    url = normalise(answer.url)
                except Exception as error:
                    raise explain(error) from error
                spent += time.monotonic() - begun
            if url in seen or len(seen) > _MAX_REDIRECTS:
                raise FetchError("redirect_loop")
            seen.add(url)
            ask(url)

    def _get(self, url: str, *, deadline: Deadline) -> addinfourl:
        with self._client.get(url, deadline=deadline) as response:
            objection = opt_out(response.headers, agents=self._agents)
            if objection is not None:
                raise FetchError("opted_out", objection)
            body = io.BytesIO(response.read_body())
            return addinfourl(body, response.headers, url, response.status)

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


def normalise(url: str) -> str:
    """Write a URL as HTTP carries it: host in ASCII, spaces and other scripts percent-encoded.

    Raises:
        FetchError: `scheme_not_allowed` or `bad_url`.
    """
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https"):
            raise FetchError("scheme_not_allowed", parts.scheme)
        if parts.hostname is None or parts.username is not None:
            raise FetchError("bad_url", "no host" if parts.hostname is None else "names a user")
        host = parts.hostname.encode("idna").decode()
        place = f"[{host}]" if ":" in host else host
        port = "" if parts.port is None else f":{parts.port}"
        path = quote(parts.path or "/", safe=_SAFE)
        query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    except ValueError as error:
        raise FetchError("bad_url", str(error)) from error
    return f"{parts.scheme}://{place}{port}{path}{query}"
