"""An answer as it arrives: llhttp tells its parts, and the limits hold at every piece.

llhttp (through httptools) parses strictly. Two lengths, a length beside chunks, a chunk whose size
is no number, a header that is none, a line that does not end in CRLF: each is refused in its words.
"""

import socket
from typing import Final
from wsgiref.headers import Headers

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from data_filters.download.guard import Deadline
from data_filters.download.reasons import FetchError, explain

_PIECE: Final = 1 << 16
_MAX_FRAME: Final = 1 << 16
"""Bytes that may come besides a body: status line, headers, interim answers."""

_FRAME_SHARE: Final = 8
"""Bytes that may come for each of a body: chunks of one byte cost six."""

_SWITCHING: Final = 101


class Response:
    """The answer to one request, of which only what is asked for is read.

    Attributes:
        status: HTTP status; 0 until the head is there.
        phrase: What the server calls it.
        headers: Of the head; trailers are left out.
        body: Empty until it is read.
        wire: The connection.

    Args:
        wire: Connection that the request is sent on.
        deadline: When everything must be over.
        max_bytes: Largest body.
    """

    def __init__(self, wire: socket.socket, *, deadline: Deadline, max_bytes: int) -> None:
        self.status = 0
        self.phrase = ""
        self.body = b""
        self.wire = wire
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._fields: list[tuple[str, str]] = []
        self.headers = Headers(self._fields)
        self._pieces: list[bytes] = []
        self._received = self._size = 0
        self._is_complete = self._stays_open = False

    @property
    def can_be_followed(self) -> bool:
        """Whether the connection is at the end of this answer and open for another request."""
        return self._is_complete and self._stays_open

    def read_head(self) -> None:
        """Read until status and headers are there.

        Raises:
            FetchError: `bad_response`, `timeout`, `incomplete`, or what broke the connection in
                the middle.
            OSError: From the connection, before anything came.
        """
        while not self.status:
            self._receive()
            if not self.status and self._received > _MAX_FRAME:
                raise FetchError("bad_response", f"headers of more than {_MAX_FRAME} bytes")
        coding = self.headers.get("Transfer-Encoding", "chunked")
        if coding.lower() != "chunked":
            raise FetchError("bad_response", f"Transfer-Encoding {coding} was not asked for")

    def read_body(self, max_bytes: int | None = None) -> None:
        """Read `body` to the end.

        Args:
            max_bytes: A limit below the usual one.

        Raises:
            FetchError: `too_many_bytes`, `incomplete`, `bad_response`, `timeout`, or what broke the
                connection.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        self._check_size(int(self.headers.get("Content-Length", "0")), limit)
        while not self._is_complete:
            self._check_size(self._size, limit)
            self._receive()
        self._check_size(self._size, limit)
        self.body = b"".join(self._pieces)

    def close(self) -> None:
        """Let the parser go: it and this refer to each other."""
        self._parser = None
        self._pieces.clear()

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit or self._received > _MAX_FRAME + _FRAME_SHARE * limit:
            raise FetchError("too_many_bytes", f"more than {limit}")

    def _receive(self) -> None:
        self._deadline.check()
        try:
            data = self.wire.recv(_PIECE)
        except OSError as error:
            if self._received:
                raise explain(error) from error
            raise
        self._received += len(data)
        if data:
            self._parse(data)
        else:
            self._end()

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._stays_open = False
            if not self._is_complete:  # what follows an answer takes nothing from it
                raise FetchError("bad_response", str(error)) from error

    def _end(self) -> None:
        """The server has closed: the end of an answer that nothing else tells the end of."""
        if not self._received:
            raise ConnectionResetError
        framed = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        if not self.status or framed:
            raise FetchError("incomplete", passing=True)
        self._is_complete = True

    # What httptools calls; nothing counts after the end of the answer.

    def on_message_begin(self) -> None:
        """Forget an interim answer."""
        if self._is_complete:
            self._stays_open = False
        elif not self.status:
            self.phrase = ""
            self._fields.clear()

    def on_status(self, phrase: bytes) -> None:
        """Take a piece of the words after the status."""
        if not self.status:
            self.phrase += phrase.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or leave a trailer."""
        if not self.status:
            self._fields.append((name.decode("latin-1"), value.decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        """Take the status, unless more is to come: 100 and its like say nothing."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if not self.status and (status >= 200 or status == _SWITCHING):
            self.status = status
            self._stays_open = self._parser.should_keep_alive() and status != _SWITCHING

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self._is_complete:
            self._pieces.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        """Note the end."""
        self._is_complete = self.status != 0
