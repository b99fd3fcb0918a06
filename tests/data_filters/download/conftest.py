"""Limits of a download that suit the loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from data_filters.config import DownloadImages
from data_filters.download.opener import PoliteOpener

LIMITS = {
    "distributor": "multiprocessing",
    "rows_per_shard": 2,
    "shards_per_process": 10,
    "threads": 2,
    "max_per_host": 8,
    "max_idle_connections": 8,
    "max_idle_seconds": 5.0,
    "timeout_seconds": 2.0,
    "total_timeout_seconds": 5.0,
    "hang_seconds": 60.0,
    "worker_restarts": 0,
    "max_bytes": 10_000,
    "max_pixels": 10_000,
    "retries": 1,
    "backoff_seconds": 0.01,
    "max_backoff_seconds": 1.5,
    "dns_cache_seconds": 60.0,
    "allowed_networks": ["127.0.0.0/8"],
    "user_agent": "franca",
    "robots_txt": False,
    "verify_md5": True,
    "resize": None,
    "min_success_rate": 0.5,
}


@pytest.fixture
def limits() -> Callable[..., DownloadImages]:
    return lambda **changes: DownloadImages.model_validate({**LIMITS, **changes})


@pytest.fixture
def polite(limits) -> Iterator[Callable[..., PoliteOpener]]:
    """Make openers, which close what they keep when the test is over."""
    with ExitStack() as stack:

        def make(*, beat=lambda: None, **changes):
            return stack.enter_context(closing(PoliteOpener(limits(**changes), beat=beat)))

        yield make


@pytest.fixture
def server():
    """A server that accepts a connection for each talk and sends its answers, one per request.

    Yields its address and a log of (number of the connection, request).
    """

    @contextmanager
    def serve_talks(*talks):
        log = []
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve():
                for number, talk in enumerate(talks):
                    connection, _ = listener.accept()
                    with connection:
                        for answer in talk:
                            log.append((number, connection.recv(4096)))
                            connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield f"127.0.0.1:{listener.getsockname()[1]}", log
            thread.join(5)

    return serve_talks
