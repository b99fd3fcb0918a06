"""One word for each way in which a download fails."""

import email.utils
import socket
import ssl
import time

import pytest

from data_filters.download.reasons import FetchError, explain, parse_failure, refused


def status(code, retry_after=None):
    return refused(code, "Words", retry_after=retry_after)


def certificate_error():
    error = ssl.SSLCertVerificationError(1, "certificate verify failed (_ssl.c:1006)")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "text", "passing"),
    [
        (status(404), "http_404: Words", False),
        (status(403), "http_403: Words", False),
        (status(501), "http_501: Words", False),
        (status(408), "http_408: Words", True),
        (status(429), "http_429: Words", True),
        (status(503), "http_503: Words", True),
        (FetchError("opted_out", "X"), "opted_out: X", False),
        (FetchError("private_address", "h"), "private_address: h", False),
        (TimeoutError("The read operation timed out"), "timeout", True),
        (certificate_error(), "tls: certificate has expired", False),
        (ssl.SSLError(1, "wrong version number"), "tls: wrong version number", False),
        (ssl.SSLEOFError(8, "EOF occurred"), "connection: closed during TLS", True),
        (socket.gaierror(-2, "Name or service not known"), "dns: Name or service not known", False),
        (socket.gaierror(-3, "Temporary failure"), "dns: Temporary failure", True),
        (ConnectionRefusedError(111, "Connection refused"), "connection: Connection refused", True),
        (ConnectionResetError(), "connection: closed without an answer", True),
        (ValueError("nonnumeric port"), "bad_url: nonnumeric port", False),
        (UnicodeError("label too long"), "bad_url: label too long", False),
        (RuntimeError("new under the sun"), "other: RuntimeError: new under the sun", False),
    ],
    ids=repr,
)
def test_reasons(error, text, passing):
    explained = explain(error)
    assert (str(explained), explained.passing) == (text, passing)
    assert parse_failure(text) == (explained.reason, explained.detail or None)


def test_servers_may_ask_for_time():
    assert explain(status(429, retry_after=" 7 ")).retry_after == 7
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < explain(status(503, retry_after=date)).retry_after <= 100
    past = email.utils.formatdate(time.time() - 100, usegmt=True)
    assert explain(status(503, retry_after=past)).retry_after == 0
    for nonsense in ("soon", "-5", "1e9999"):
        assert explain(status(503, retry_after=nonsense)).retry_after is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("unknown url type: 'www.a.org/x'", "scheme_not_allowed"),
        ("Image decoding error", "other"),
        ("", "other"),
    ],
)
def test_what_img2dataset_says_of_its_own_accord_is_kept_as_it_is(message, reason):
    assert parse_failure(message) == (reason, message)
