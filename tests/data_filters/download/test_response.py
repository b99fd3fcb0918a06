"""Answers as servers write them, well and badly, in one piece or byte by byte."""

import socket

import pytest

from data_filters.download.guard import Deadline
from data_filters.download.reasons import FetchError
from data_filters.download.response import Response

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"


class Wire(socket.socket):
    """A real socket whose other end has written everything and closed; it receives in pieces."""

    def __init__(self, data, *, piece=1 << 16):
        ours, theirs = socket.socketpair()
        super().__init__(ours.family, ours.type, ours.proto, ours.detach())
        self._piece = piece
        with theirs:
            theirs.sendall(data)

    def recv(self, size):
        return super().recv(min(size, self._piece))


@pytest.fixture
def read():
    """Read an answer to its end; return it."""
    wires = []

    def read_all(data, *, piece=1 << 16, max_bytes=1000):
        wires.append(Wire(data, piece=piece))
        response = Response(wires[-1], deadline=Deadline(5.0), max_bytes=max_bytes)
        response.read_head()
        response.read_body()
        response.close()
        return response

    yield read_all
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    ("data", "body", "can_be_followed"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", b"ok", True),
        (OK + b"content-length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nX: 1\r\n\r\n", b"ok", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok", False),
        (OK + b"\r\n", b"", False),
        (HINTS + OK + b"Content-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"", True),
        (OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    ],
)
def test_an_answer_ends_where_it_says(read, data, body, can_be_followed, piece):
    response = read(data, piece=piece)
    assert (response.body, response.can_be_followed) == (body, can_be_followed)
    assert response.status in (200, 204)
    assert response.phrase in ("OK", "No Content")
    assert not {"x", "link"} & {name.lower() for name in response.headers.keys()}  # noqa: SIM118


def test_headers_are_read_as_they_are(read):
    response = read(OK + b"X-A: b\r\nx-a:  c \r\nName: \xe4\r\nContent-Length: 0\r\n\r\n")
    assert response.headers.get_all("X-A") == ["b", "c"]
    assert response.headers["name"] == "ä"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Duplicate Content-Length"),
        (OK + b"Content-Length: 2, 2\r\n\r\nok", "Invalid character in Content-Length"),
        (OK + b"Content-Length: -2\r\n\r\nok", "Invalid character in Content-Length"),
        (OK + b"Content-Length: 99999999999999999999\r\n\r\nok", "Content-Length overflow"),
        (OK + b"Content-Length:\r\n\r\nok", "Empty Content-Length"),
        (
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding gzip, chunked was not asked for",
        ),
        (CHUNKED + b"zz\r\nok\r\n", "Invalid character in chunk size"),
        (CHUNKED + b"-2\r\nok\r\n", "Invalid character in chunk size"),
        (CHUNKED + b"f" * 20 + b"\r\nok\r\n", "Chunk size overflow"),
        (CHUNKED + b"2\r\nokay\r\n", "Expected LF after chunk data"),
        (OK + b"X: a\rSet-Cookie: b\r\n\r\n", "Missing expected LF after header value"),
        (OK + b"X: a\nSet-Cookie: b\r\n\r\n", "Missing expected CR after header value"),
        (OK + b"X: a\x00b\r\n\r\n", "Invalid header value char"),
        (OK + b"X : a\r\n\r\n", "Invalid header token"),
        (OK + b"X: a\r\n folded\r\n\r\n", "Unexpected whitespace after header value"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "Invalid response status"),
        (b"HTTP/2 200 OK\r\n\r\n", "Expected dot"),
        (b"<!doctype html>", "Expected HTTP/, RTSP/ or ICE/"),
        (OK + b"X: " + b"a" * 140_000, "headers of more than 65536 bytes"),
        (OK + b"X: a\r\n" * 23_000, "headers of more than 65536 bytes"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5_600, "headers of more than 65536 bytes"),
    ],
)
def test_what_is_no_answer_says_why(read, data, words):
    with pytest.raises(FetchError) as caught:
        read(data)
    assert (caught.value.reason, caught.value.detail) == ("bad_response", words)
    assert not caught.value.passing


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 20",
        OK + b"Content-Length: 2\r\n",
        OK + b"Content-Length: 2\r\n\r\no",
        CHUNKED + b"2\r\no",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n",
    ],
)
def test_what_ends_in_the_middle_may_be_whole_another_time(read, data):
    with pytest.raises(FetchError, match="incomplete") as caught:
        read(data)
    assert caught.value.passing


def test_silence_that_ends_is_no_answer(read):
    with pytest.raises(ConnectionResetError):
        read(b"")


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 101\r\n\r\n",  # before any of it comes
        OK + b"\r\n" + bytes(101),
        CHUNKED + b"65\r\n" + bytes(0x65) + b"\r\n0\r\n\r\n",
        CHUNKED + b"1;" + b"x" * 100_000,  # bytes without end that are no body
        CHUNKED + b"0\r\n" + b"X: a\r\n" * 20_000,
    ],
)
def test_a_body_and_what_surrounds_it_are_bounded(read, data):
    with pytest.raises(FetchError) as caught:
        read(data, max_bytes=100)
    assert str(caught.value) == "too_many_bytes: more than 100"


def test_a_body_as_large_as_allowed_is_read_even_in_the_smallest_chunks(read):
    assert read(CHUNKED + b"1\r\nx\r\n" * 100 + b"0\r\n\r\n", max_bytes=100).body == b"x" * 100


@pytest.mark.parametrize("surplus", [b"x", OK, OK + b"Content-Length: 3\r\n\r\nbad"])
def test_what_follows_an_answer_changes_nothing_of_it_and_ends_the_connection(read, surplus):
    response = read(OK + b"X: 1\r\nContent-Length: 2\r\n\r\nok" + surplus)
    assert (response.body, response.headers["X"], response.status) == (b"ok", "1", 200)
    assert not response.can_be_followed


def test_another_protocol_is_not_spoken(read):
    response = read(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nwords")
    assert (response.status, response.body, response.can_be_followed) == (101, b"", False)
