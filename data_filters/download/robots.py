"""What a host's robots.txt says of us (RFC 9309)."""

from collections.abc import Callable, Sequence
from typing import Final

from protego import Protego

from data_filters.download.address import Address, Place
from data_filters.download.hosts import Memory
from data_filters.download.reasons import FetchError

_SECONDS: Final = 24 * 3600.0
"""RFC 9309, 2.4: a cached robots.txt should not be used for longer than a day."""


_MAX_BYTES: Final = 500 * 1024
"""RFC 9309, 2.5: at least so much is read; megabytes of rules would hold up every thread."""


class Robots:
    """Rules by origin, each fetched once.

    Args:
        fetch: Returns the bytes behind an address; raises `FetchError`.
        agents: Names we answer to; where any of them is shut out, we stay out.
    """

    def __init__(self, fetch: Callable[[Address], bytes], *, agents: Sequence[str]) -> None:
        self._fetch = fetch
        self._agents = tuple(agents)
        self._memory: Memory[Place, Protego | FetchError] = Memory(_SECONDS)

    def require(self, address: Address) -> None:
        """Return if `address` may be fetched.

        Raises:
            FetchError: `robots_denied`; or what kept us from reading robots.txt, since a host that
                cannot tell its rules must be taken to forbid everything.
        """
        rules = self._memory.recall(address.place, lambda: self._read(address.place))
        if isinstance(rules, FetchError):
            raise FetchError(rules.reason, f"robots.txt: {rules.detail}".rstrip(": "))
        url = address.url
        for agent in self._agents:
            if not rules.can_fetch(url, agent):
                raise FetchError("robots_denied", agent)

    def _read(self, place: Place) -> Protego | FetchError:
        try:
            data = self._fetch(Address(place, "/robots.txt"))
        except FetchError as error:
            if error.passing:
                raise FetchError(error.reason, f"robots.txt: {error.detail}") from error
            return Protego.parse("") if error.reason.startswith("http_4") else error
        return Protego.parse(data[:_MAX_BYTES].decode("utf-8", errors="replace"))
