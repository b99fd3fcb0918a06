"""One word for each way in which a download fails, from img2dataset's messages."""

import re
from typing import Final

_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"X-Robots-Tag", "opted_out"),
        (r"private address", "private_address"),
        (r"scheme not allowed|unknown url type", "scheme_not_allowed"),
        (r"too many bytes", "too_many_bytes"),
        (r"timed out", "timeout"),
        (r"certificate|SSL", "tls"),
        (r"Name or service|name resolution|No address associated|getaddrinfo", "dns"),
        (r"IncompleteRead", "incomplete"),
        (r"redirect", "redirect_loop"),
        (r"refused|reset|closed connection|unreachable|Broken pipe|BadStatus", "connection"),
        (r"decoding error|OpenCV|imdecode|resize|pixels", "undecodable"),
        (r"no host|URL can't contain|label|codec|Invalid|port", "bad_url"),
    )
)
_HTTP: Final = re.compile(r"HTTP Error (\d{3})")


def failure_reason(message: str) -> str:
    """Return the reason for a message; `other` for one never seen, whose text is kept as detail."""
    http = _HTTP.search(message)
    if http:
        return f"http_{http.group(1)}"
    return next((word for pattern, word in _WORDS if pattern.search(message)), "other")
