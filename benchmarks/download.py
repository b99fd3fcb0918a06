"""Requests per CPU-second: img2dataset with our opener against img2dataset as it comes.

    python benchmarks/download.py [--minimum 100]

Both run `img2dataset.downloader.download_image`, unmodified, in this process and one thread,
towards servers on the loopback in another process: http, and https with a certificate of an
authority made for the occasion, which is added to the machine's usual bundle of authorities so that
reading the bundle costs what it costs elsewhere. Process CPU time, forms interleaved, median of
paired ratios.
TLS handshakes are included; the server's own time is not.

Every server comes in two kinds: one keeps connections open, the other closes each after its answer.
No URL is asked for twice, and there is a robots.txt to heed. Three more forms are limits: httptools
over one connection that stays open, with nothing around it, and http.client with one TLS context,
once on a connection that stays open where the server allows it, once on a fresh one each time.
Exits with 1 when ours is not `--minimum` times faster than img2dataset over https kept open.
"""

import argparse
import gc
import http.client
import itertools
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import certifi
import httptools
import trustme

from data_filters.config import DownloadImages
from data_filters.download.opener import PoliteOpener

SERVER = """
import ssl, sys
from contextlib import ExitStack
from pathlib import Path
from data_filters.download.origin import LoopbackOrigin
folder = Path(sys.argv[1])
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(folder / "server.pem")
with ExitStack() as stack:
    for keep_alive in (True, False):
        for context in (None, tls):
            origin = LoopbackOrigin(folder, {}, tls=context, keep_alive=keep_alive)
            print(stack.enter_context(origin).address, flush=True)
    sys.stdin.read()
"""
NUM_BYTES = 30_000
NUMBERS = itertools.count()
ROBOTS = "User-agent: *\nDisallow: /admin/\nDisallow: /*?session=\n"
LIMITS = DownloadImages(
    distributor="multiprocessing", rows_per_shard=1000, shards_per_process=1, threads=1,
    max_per_host=8,
    max_idle_connections=8, max_idle_seconds=60, timeout_seconds=10, total_timeout_seconds=30,
    hang_seconds=600, worker_restarts=0, max_bytes=1_000_000, max_pixels=1_000_000, retries=1,
    backoff_seconds=1, max_backoff_seconds=10, dns_cache_seconds=600,
    allowed_networks=("127.0.0.0/8",),
    user_agent="franca", robots_txt=True, verify_md5=True, resize=None, min_success_rate=0,
)  # fmt: skip


def bare(context: ssl.SSLContext, *, keep: bool) -> Callable[[str], bytes]:
    """Return a fetch with nothing around it, on one connection or on a fresh one each time."""
    open_ones: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def fetch(url: str) -> bytes:
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        connection = open_ones.get((scheme, host))
        if connection is None:
            connection = (
                http.client.HTTPSConnection(host, context=context)
                if scheme == "https"
                else http.client.HTTPConnection(host)
            )
            if keep:
                open_ones[scheme, host] = connection
        connection.request("GET", f"/{path}", headers={} if keep else {"Connection": "close"})
        body = connection.getresponse().read()
        if not keep:
            connection.close()
        return body

    return fetch


class Answer:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the end."""
        self.is_complete = True


def bare_httptools(scheme: str, address: str) -> Callable[[str], bytes]:
    """Return a fetch over one connection that the server keeps, limited in time alone."""
    host, _, port = address.partition(":")
    wire = socket.create_connection((host, int(port)), timeout=10)
    if scheme == "https":
        wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)

    def fetch(url: str) -> bytes:
        path = url.partition(address)[2]
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        answer = Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_complete:
            parser.feed_data(wire.recv(1 << 16))
        return b"".join(answer.pieces)

    return fetch


def through_img2dataset(opener: urllib.request.OpenerDirector | None) -> Callable[[str], bytes]:
    """Return img2dataset's own fetch, with an opener installed or as it comes."""
    from img2dataset.downloader import download_image

    def fetch(url: str) -> bytes:
        # None: urlopen builds its default opener, as in a process that installs none
        urllib.request._opener = opener  # type: ignore[attr-defined]  # noqa: SLF001
        _, stream, error = download_image((0, url), 10, None, None)
        assert error is None, error
        return bytes(stream.getvalue())

    return fetch


def cpu_seconds(fetch: Callable[[str], bytes], url: str, requests: int) -> float:
    """Return the processor time of one request, the first one left out."""
    gc.collect()  # nobody pays for what another form has left
    fetch(f"{url}?{next(NUMBERS)}")  # brings back what another form drove out of the caches
    start = time.process_time()
    for _ in range(requests):
        assert len(fetch(f"{url}?{next(NUMBERS)}")) == NUM_BYTES
    return (time.process_time() - start) / requests


def measure(address: str, title: str, *, repeats: int, requests: int) -> float:
    """Print rates and ratios for one server; return ours over img2dataset's."""
    scheme, _, manner = title.partition(", ")
    url = f"{scheme}://{address}/a.jpg"
    forms = {
        "img2dataset": through_img2dataset(None),
        "ours": through_img2dataset(PoliteOpener(LIMITS, beat=lambda: None)),
        "http.client, kept": bare(ssl.create_default_context(), keep=True),
        "http.client, fresh": bare(ssl.create_default_context(), keep=False),
    }
    if manner == "kept open":
        forms["httptools, kept"] = bare_httptools(scheme, address)
    for fetch in forms.values():
        fetch(url)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, fetch in forms.items():
            seconds[name].append(cpu_seconds(fetch, url, requests))
    print(title)
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(seconds["img2dataset"], values, strict=True)]
        print(
            f"  {name:18} {1 / statistics.median(values):8.0f} requests per CPU-second, "
            f"{statistics.median(ratios):6.2f} times img2dataset"
        )
    pairs = zip(seconds["img2dataset"], seconds["ours"], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def main() -> int:
    """Serve, measure, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minimum", type=float, default=100.0, help="smallest ratio that passes")
    parser.add_argument("--repeats", type=int, default=9, help="paired measurements")
    parser.add_argument("--requests", type=int, default=40, help="requests in each of them")
    arguments = parser.parse_args()
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.jpg").write_bytes(bytes(NUM_BYTES))
        (folder / "robots.txt").write_text(ROBOTS)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            folder / "server.pem"
        )
        bundle = Path(certifi.where()).read_bytes() + authority.cert_pem.bytes()
        (folder / "authorities.pem").write_bytes(bundle)
        os.environ["SSL_CERT_FILE"] = str(folder / "authorities.pem")
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        counts = {"repeats": arguments.repeats, "requests": arguments.requests}
        ratios = {}
        for kind in ("http, kept open", "https, kept open", "http, closed", "https, closed"):
            address = server.stdout.readline().decode().strip()
            ratios[kind] = measure(address, kind, **counts)
        server.communicate()
    return 0 if ratios["https, kept open"] >= arguments.minimum else 1


if __name__ == "__main__":
    sys.exit(main())
