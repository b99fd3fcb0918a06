"""One word for each way in which a download fails, and whether another attempt can help."""

import email.utils
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

_PASSING_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers that may be another one soon; every other status is final."""

UNREACHED: Final = frozenset({"connection", "dns", "timeout"})
"""Reasons that a machine without a network finds for everything."""

_TEXT: Final = re.compile(r"([a-z]+(?:_[a-z0-9]+)*)(?:: (.*))?", re.DOTALL)


class FetchError(OSError):
    """A fetch that failed, or was refused.

    Its text, `reason: detail`, is all of it that img2dataset passes on; see `parse_failure`.

    Attributes:
        reason: One word.
        detail: What the reason refers to; the same from run to run.
        passing: Whether another attempt can help.
        retry_after: Seconds that the server asks to wait; None where it does not say.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        passing: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.passing = passing
        self.retry_after = retry_after


def parse_failure(message: str) -> tuple[str, str | None]:
    """Split the text of a `FetchError` into reason and detail.

    What img2dataset says of its own accord is `other`, with the whole text as detail.
    """
    if message.startswith("unknown url type"):  # urllib's own, before anything of ours is asked
        return "scheme_not_allowed", message
    found = _TEXT.fullmatch(message)
    return (found.group(1), found.group(2)) if found else ("other", message)


def explain(error: Exception) -> FetchError:
    """Say in one word why a fetch failed, whichever library noticed."""
    for kinds, explanation in _EXPLANATIONS:
        if isinstance(error, kinds):
            return explanation(error)
    return FetchError("other", f"{type(error).__name__}: {error}")


def refused(status: int, phrase: str, *, retry_after: str | None) -> FetchError:
    """Say what an answer that is no success means, with its Retry-After header if it has one."""
    return FetchError(
        f"http_{status}",
        phrase,
        passing=status in _PASSING_STATUS,
        retry_after=_retry_after(retry_after),
    )


def _dns(error: socket.gaierror) -> FetchError:
    return FetchError("dns", str(error.strerror), passing=error.errno == socket.EAI_AGAIN)


def _connection(error: OSError) -> FetchError:
    return FetchError("connection", error.strerror or "closed without an answer", passing=True)


def _retry_after(value: str | None) -> float | None:
    """Seconds from now of a Retry-After header (RFC 9110, 10.2.3); None without a sensible one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


_Explanation = tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], FetchError]]

_EXPLANATIONS: Final[tuple[_Explanation, ...]] = (  # a kind before what it is a kind of
    (FetchError, lambda error: error),
    (TimeoutError, lambda _: FetchError("timeout", passing=True)),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError),
        lambda _: FetchError("connection", "closed during TLS", passing=True),
    ),
    (ssl.SSLCertVerificationError, lambda error: FetchError("tls", error.verify_message)),
    (ssl.SSLError, lambda error: FetchError("tls", str(error.strerror))),
    (socket.gaierror, _dns),
    (OSError, _connection),
    (ValueError, lambda error: FetchError("bad_url", str(error))),
)
