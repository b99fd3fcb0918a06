"""A web server on the loopback that serves a folder, faults included.

It gives the embedded world what the real web has: dead links, slow hosts, pages where images were,
opt-outs, redirects to where nobody should go. The downloader cannot tell the difference.
"""

import mimetypes
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from data_filters.io.files import read_json

ORIGIN: Final = "{origin}"
"""Placeholder in URLs of the embedded world: its port changes from run to run, its bytes do not."""

_REFUSALS: Final = MappingProxyType(
    {
        "not_found": (HTTPStatus.NOT_FOUND, {}),
        "gone": (HTTPStatus.GONE, {}),
        "forbidden": (HTTPStatus.FORBIDDEN, {}),
        "broken": (HTTPStatus.INTERNAL_SERVER_ERROR, {}),
        "busy": (HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "3600"}),
        "redirect_private": (HTTPStatus.FOUND, {"Location": "http://169.254.169.254/latest/x.jpg"}),
        "redirect_file": (HTTPStatus.FOUND, {"Location": "file:///etc/hostname"}),
    }
)
_REFUSALS_AT_FIRST: Final = MappingProxyType(
    {
        "flaky": (HTTPStatus.SERVICE_UNAVAILABLE, {}),
        "busy_once": (HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}),
    }
)
_HEADERS: Final = MappingProxyType(
    {
        "opt_out": {"X-Robots-Tag": "noai"},
        "opt_out_named": {"X-Robots-Tag": "otherbot: all, img2dataset: nofollow, noimageai"},
        "opt_out_other": {"X-Robots-Tag": "otherbot: noai"},
        "opt_out_tdm": {"TDM-Reservation": "1"},
        "mistyped": {"Content-Type": "text/html"},
    }
)
FAULTS: Final = frozenset(
    {*_REFUSALS, *_REFUSALS_AT_FIRST, *_HEADERS, "timeout", "slow", "endless", "reset", "html",
     "redirect_loop", "moved", "incomplete"}
)  # fmt: skip
REDIRECT: Final = "redirect_to "
"""Begins a fault that leads to the URL that follows."""

_PAGE: Final = b"<!doctype html><title>Not here</title><p>This image has moved."
_DRIP_SECONDS: Final = 0.2
_ENDLESS: Final = bytes(1 << 16)


class LoopbackOrigin:
    """Serve `folder` on 127.0.0.1, on a port the system chooses, while the context is open.

    Args:
        folder: What `/` stands for.
        faults: URL path to what happens there instead of the file, or with it. No file comes of
            `not_found` (404), `gone` (410), `forbidden` (403), `broken` (500), `busy` (429, come
            back in an hour), `timeout` (accepts, never answers), `slow` (drips for ever),
            `endless` (never stops sending), `incomplete` (half of the bytes it announced), `reset`
            (breaks the connection), `html` (a page where an image was), `redirect_loop`,
            `redirect_private` (leads to a private address), `redirect_file`, `redirect_to URL`.
            Somebody patient gets the file from `flaky` (503 once), `busy_once` (429, come back in a
            second) and `moved` (a redirect). The file comes with a header for `opt_out` (noai),
            `opt_out_named` (for img2dataset), `opt_out_other` (for somebody else), `opt_out_tdm`
            (TDM-Reservation) and `mistyped` (says that it is a page).
        tls: Serve https with this context.
        keep_alive: Whether connections stay open after an answer.

    Raises:
        ValueError: A fault of another name.
    """

    def __init__(
        self,
        folder: Path,
        faults: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None = None,
        keep_alive: bool = True,
    ) -> None:
        for path, fault in faults.items():
            if fault not in FAULTS and not fault.startswith(REDIRECT):
                raise ValueError(
                    f"faults.json: {path!r} has the fault {fault!r}, which is none of "
                    f"{', '.join(sorted(FAULTS))}"
                )
        self._server = _Server(folder, faults, keep_alive=keep_alive)
        if tls is not None:  # hands are shaken in the request's thread, not where all are accepted
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def address(self) -> str:
        """`host:port`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def num_requests(self) -> int:
        """Requests received so far."""
        return self._server.num_requests

    @property
    def num_connections(self) -> int:
        """Connections accepted so far."""
        return self._server.num_connections

    def __enter__(self) -> Self:
        """Start serving."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release whoever waits, and stop."""
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()


def open_origin(scenes: Path) -> LoopbackOrigin:
    """Serve the embedded world that the stage `scenes` published."""
    folder = scenes / "origin"
    return LoopbackOrigin(folder, read_json(folder / "faults.json"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, folder: Path, faults: Mapping[str, str], *, keep_alive: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder.resolve()
        self.faults = faults
        self.keep_alive = keep_alive
        self.closing = threading.Event()
        self.num_requests = 0
        self.num_connections = 0
        self._asked: set[str] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection and serve it in a thread."""
        self.num_connections += 1
        super().process_request(request, client_address)

    def asked_before(self, path: str) -> bool:
        """Count a request; return whether `path` was asked for before."""
        with self._lock:
            self.num_requests += 1
            before = path in self._asked
            self._asked.add(path)
            return before

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up early are part of the play."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 17  # head and body leave together
    disable_nagle_algorithm = True  # or the second TLS record waits 40 ms for an acknowledgement

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        fault = self.server.faults.get(path, "")
        first = not self.server.asked_before(path)
        refusal = _REFUSALS.get(fault) or (_REFUSALS_AT_FIRST.get(fault) if first else None)
        if refusal is not None:
            self._answer(_PAGE, {"Content-Type": "text/html", **refusal[1]}, status=refusal[0])
        elif fault == "timeout":
            self.server.closing.wait()
            self.close_connection = True
        elif fault == "slow":
            self._drip()
        elif fault == "endless":
            self._send_for_ever()
        elif fault == "reset":
            self._reset()
        elif fault == "html":
            self._answer(_PAGE, {"Content-Type": "text/html"})
        elif fault.startswith(REDIRECT):
            target = fault.removeprefix(REDIRECT)
            self._answer(b"", {"Location": target}, status=HTTPStatus.FOUND)
        elif fault == "redirect_loop" or (fault == "moved" and not address.query):
            self._answer(b"", {"Location": f"{address.path}?again"}, status=HTTPStatus.FOUND)
        else:
            self._serve_file(path, fault)

    def _serve_file(self, path: str, fault: str) -> None:
        file = (self.server.folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.server.folder) or not file.is_file():
            self._answer(_PAGE, {"Content-Type": "text/html"}, status=HTTPStatus.NOT_FOUND)
            return
        data = file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, **_HEADERS.get(fault, {})}
        if fault == "incomplete":
            self._answer(data[: len(data) // 2], headers, length=len(data))
        else:
            self._answer(data, headers)

    def _drip(self) -> None:
        self._head({"Content-Type": "image/jpeg", "Content-Length": "4096"}, last=True)
        while not self.server.closing.wait(_DRIP_SECONDS):
            self.wfile.write(b"\xff")
            self.wfile.flush()

    def _send_for_ever(self) -> None:
        self._head({"Content-Type": "image/jpeg"}, last=True)
        while not self.server.closing.is_set():
            self.wfile.write(_ENDLESS)

    def _reset(self) -> None:
        """Close so that the other side sees a reset rather than an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.server.close_request(self.request)

    def _answer(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        status: HTTPStatus = HTTPStatus.OK,
        length: int | None = None,
    ) -> None:
        length = len(body) if length is None else length
        last = length > len(body)  # the rest never comes
        self._head({**headers, "Content-Length": str(length)}, status=status, last=last)
        self.wfile.write(body)

    def _head(
        self,
        headers: Mapping[str, str],
        *,
        status: HTTPStatus = HTTPStatus.OK,
        last: bool = False,
    ) -> None:
        self.send_response(status)
        if last or not self.server.keep_alive:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent: the ledger tells what happened."""
