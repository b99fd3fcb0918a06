"""What sources meet: a file server that answers ranges and fails as real ones do, spoilt files."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest


def spoil_page(file: Path, *, row_group: int, size: int) -> None:
    """Overwrite the beginning of the first column's page in a row group of a parquet file."""
    with pq.ParquetFile(file) as written:
        start = written.metadata.row_group(row_group).column(0).data_page_offset
    data = bytearray(file.read_bytes())
    data[start : start + size] = b"\xff" * size
    file.write_bytes(data)


class FileServer:
    """Serves a folder. Faults: `cut` bytes a response (0: whole), `status` instead of content."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cut, self.ranges, self.status = folder, 0, True, 200
        self.headers: dict[str, str] = {}
        self.served: list[tuple[str, int]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                file = outer.folder / self.path.lstrip("/")
                if outer.status != 200 or not file.is_file():
                    self.send_response(outer.status if outer.status != 200 else 404)
                    for name, value in outer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                data = file.read_bytes()
                whole = len(data)
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if wanted and outer.ranges:
                    start, end = int(wanted[1]), int(wanted[2] or whole - 1)
                    data = data[start : end + 1]
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{end}/{whole}")
                else:
                    start = 0
                    self.send_response(200)
                if outer.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    part = data[: outer.cut] if outer.cut else data
                    outer.served.append((self.path, start))
                    self.wfile.write(part)
                    self.close_connection = len(part) < len(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(tmp_path) -> Iterator[FileServer]:
    (tmp_path / "served").mkdir()
    server = FileServer(tmp_path / "served")
    yield server
    server.close()
