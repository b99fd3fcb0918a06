"""Real worker processes that hang, die and fail."""

import os
import signal
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_filters.download.job import Job
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.plan import plan_shards
from data_filters.download.supervise import run_worker


@pytest.fixture
def job(tmp_path, metadata_part, limits):
    def make(origin, *, rows=3, **changes):
        urls = [{"url": f"http://{{origin}}/{index}.jpg"} for index in range(rows)]
        plans = plan_shards([metadata_part(urls)], rows_per_shard=1)
        cfg = limits(rows_per_shard=1, **changes)
        return Job(shards=tuple(plans), cfg=cfg, output=tmp_path / "out", origin=origin)

    return make


def worker(job):
    """The process that works on a job, found by its command line."""
    order = str(job.file(".json")).encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if order in (folder / "cmdline").read_bytes().split(b"\0"):
                    return int(folder.name)
            except OSError:
                continue
    return None


def disturb(job, number, *, when):
    """Send a signal to the worker once `when` holds."""

    def send():
        while not when():
            time.sleep(0.02)
        os.kill(worker(job), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_that_hangs_or_dies_is_replaced(tmp_path, job, number, caplog):
    """The second row keeps the worker waiting while it is stopped or killed."""
    with LoopbackOrigin(tmp_path, {"/1.jpg": "timeout"}) as origin:
        task = job(
            origin.address, timeout_seconds=1.0, total_timeout_seconds=1.0, retries=0,
            hang_seconds=12.0 if number == signal.SIGSTOP else 60.0, worker_restarts=3,
        )  # fmt: skip
        first = task.output / "shard-000000.parquet"
        thread = disturb(task, number, when=first.exists)
        assert run_worker(task)
        thread.join()
    made = [pq.read_table(task.output / f"shard-{n:06d}.parquet").to_pylist()[0] for n in range(3)]
    assert [row["reason"] for row in made] == ["http_404", "timeout", "http_404"]
    hung = "no URL came to an end in 12 s: killed" in task.file(".log").read_text()
    assert hung == (number == signal.SIGSTOP)
    assert caplog.messages == [f"a worker hung or died, 2 shards left: {task.file('.log')}"]


@pytest.mark.slow
def test_what_fails_every_time_is_given_up_with_its_last_words(job):
    task = job(None, worker_restarts=1)
    task.shards[0].file.unlink()
    assert not run_worker(task)
    assert task.file(".log").read_text().count("Traceback") == 2
    assert "FileNotFoundError" in task.file(".log").read_text().splitlines()[-1]


def test_nothing_is_started_for_nobody(job):
    stop = threading.Event()
    stop.set()
    task = job(None)
    assert not run_worker(task, stop=stop)
    assert task.file(".log").read_bytes() == b""
