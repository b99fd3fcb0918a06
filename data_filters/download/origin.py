"""A web server on the loopback that serves a folder, faults included.

It gives the embedded world what the real web has: dead links, slow hosts, pages where images were,
opt-outs, redirects to where nobody should go. The downloader cannot tell the difference.
"""

import mimetypes
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

_REFUSALS: Final = MappingProxyType(
    {"not_found": HTTPStatus.NOT_FOUND, "gone": HTTPStatus.GONE, "forbidden": HTTPStatus.FORBIDDEN}
)
FAULTS: Final = frozenset(
    {*_REFUSALS, "timeout", "slow", "flaky", "html", "opt_out", "redirect_private", "incomplete",
     "endless"}
)  # fmt: skip
_PAGE: Final = b"<!doctype html><title>Not here</title><p>This image has moved."
_PRIVATE: Final = "http://169.254.169.254/latest/x.jpg"
_DRIP_SECONDS: Final = 0.2
_ENDLESS: Final = bytes(1 << 16)


class LoopbackOrigin:
    """Serve `folder` on 127.0.0.1, on a port the system chooses, while the context is open.

    Args:
        folder: What `/` stands for.
        faults: URL path to what happens there instead of the file: `not_found` (404), `gone` (410),
            `forbidden` (403), `timeout` (accepts, never answers), `slow` (drips for ever), `flaky`
            (503 once, then right), `html` (a page where an image was), `opt_out` (a header says
            noai), `redirect_private` (leads to a private address), `incomplete` (half of the bytes
            it announced), `endless` (never stops sending).

    Raises:
        ValueError: A fault of another name.
    """

    def __init__(self, folder: Path, faults: Mapping[str, str]) -> None:
        for path, fault in faults.items():
            if fault not in FAULTS:
                raise ValueError(
                    f"faults.json: {path!r} has the fault {fault!r}, which is none of "
                    f"{', '.join(sorted(FAULTS))}"
                )
        self._server = _Server(folder, faults)

    @property
    def address(self) -> str:
        """`host:port`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def num_requests(self) -> int:
        """Requests received so far."""
        return self._server.num_requests

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, folder: Path, faults: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder.resolve()
        self.faults = faults
        self.closing = threading.Event()
        self.num_requests = 0
        self._asked: set[str] = set()
        self._lock = threading.Lock()

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

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.server.faults.get(path)
        first = not self.server.asked_before(path)
        refusal = _REFUSALS.get(fault or "")
        if refusal is not None:
            self._answer(_PAGE, "text/html", status=refusal)
        elif fault == "timeout":
            self.server.closing.wait()
        elif fault == "slow":
            self._drip()
        elif fault == "endless":
            self._send_for_ever()
        elif fault == "flaky" and first:
            self._answer(_PAGE, "text/html", status=HTTPStatus.SERVICE_UNAVAILABLE)
        elif fault == "html":
            self._answer(_PAGE, "text/html")
        elif fault == "redirect_private":
            self._answer(b"", "text/html", status=HTTPStatus.FOUND, headers={"Location": _PRIVATE})
        else:
            self._serve_file(path, fault)

    def _serve_file(self, path: str, fault: str | None) -> None:
        file = (self.server.folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.server.folder) or not file.is_file():
            self._answer(_PAGE, "text/html", status=HTTPStatus.NOT_FOUND)
            return
        data = file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if fault == "incomplete":
            self._answer(data[: len(data) // 2], kind, length=len(data))
        elif fault == "opt_out":
            self._answer(data, kind, headers={"X-Robots-Tag": "noai"})
        else:
            self._answer(data, kind)

    def _drip(self) -> None:
        self._head("image/jpeg", 1 << 20)
        while not self.server.closing.wait(_DRIP_SECONDS):
            self.wfile.write(b"\xff")

    def _send_for_ever(self) -> None:
        self._head("image/jpeg", None)
        while not self.server.closing.is_set():
            self.wfile.write(_ENDLESS)

    def _answer(
        self,
        body: bytes,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._head(kind, len(body) if length is None else length, status=status, headers=headers)
        self.wfile.write(body)

    def _head(
        self,
        kind: str,
        length: int | None,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent: the ledger tells what happened."""
