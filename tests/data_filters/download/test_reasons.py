"""One word for each way in which a download fails."""

import pytest

from data_filters.download.reasons import failure_reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("HTTP Error 404: Not Found", "http_404"),
        ("HTTP Error 503: Service Unavailable", "http_503"),
        ("Use of image disallowed by X-Robots-Tag directive", "opted_out"),
        ("<urlopen error private address: 10.0.0.7>", "private_address"),
        ("scheme not allowed: file", "scheme_not_allowed"),
        ("unknown url type: 'www.a.org/x'", "scheme_not_allowed"),
        ("too many bytes: more than 1000", "too_many_bytes"),
        ("timed out", "timeout"),
        ("<urlopen error timed out>", "timeout"),
        ("The read operation timed out", "timeout"),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", "tls"),
        ("<urlopen error [Errno -2] Name or service not known>", "dns"),
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", "dns"),
        ("<urlopen error [Errno 111] Connection refused>", "connection"),
        ("Remote end closed connection without response", "connection"),
        ("[Errno 104] Connection reset by peer", "connection"),
        ("IncompleteRead(10 bytes read, 10 more expected)", "incomplete"),
        ("Image decoding error", "undecodable"),
        ("URL can't contain control characters. '/a b' (found at least ' ')", "bad_url"),
        ("<urlopen error no host given>", "bad_url"),
        ("encoding with 'idna' codec failed (UnicodeError: label empty or too long)", "bad_url"),
        ("something new under the sun", "other"),
    ],
)
def test_reasons(message, reason):
    assert failure_reason(message) == reason
