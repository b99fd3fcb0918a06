"""One worker process under watch: started again when it dies or hangs."""

import logging
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Final

from data_filters.download.job import Job
from data_filters.io.files import write_text

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.05
_LAST_WORDS_SECONDS: Final = 0.5
_START_SECONDS: Final = 60.0
"""What a process may take, on a busy machine, until its imports are done and its pulse begins."""


def run_worker(job: Job, *, stop: threading.Event | None = None) -> bool:
    """Download the shards of a job in a process of its own; return whether all of them are there.

    A process that ends early, or in which no URL comes to an end for `hang_seconds`, is replaced,
    `worker_restarts` times without a shard finished in between.

    Args:
        job: The shards.
        stop: Set from outside when nobody waits for the outcome any more.
    """
    stop = stop or threading.Event()
    write_text(job.file(".json"), job.model_dump_json())
    left, in_vain = len(job.left()), 0
    with job.file(".log").open("ab") as log:
        while left and in_vain <= job.cfg.worker_restarts and not stop.is_set():
            _run_once(job, log, stop=stop)
            before, left = left, len(job.left())
            in_vain = 0 if left < before else in_vain + 1
            if left and not stop.is_set():
                logger.warning("a worker hung or died, %d shards left: %s", left, job.file(".log"))
    return not left


def _run_once(job: Job, log: IO[bytes], *, stop: threading.Event) -> None:
    beat = job.file(".beat")
    beat.unlink(missing_ok=True)
    latest = time.time() + _START_SECONDS
    process = subprocess.Popen(
        [sys.executable, "-m", "data_filters.download.worker", str(job.file(".json"))],
        stdin=subprocess.PIPE,  # stays open, so that the worker notices our death
        stdout=log,
        stderr=log,
    )
    try:
        while process.poll() is None and not stop.is_set():
            latest = beat.stat().st_mtime if beat.exists() else latest
            if time.time() - latest > job.cfg.hang_seconds:
                process.send_signal(signal.SIGUSR1)  # it writes where its threads are
                time.sleep(_LAST_WORDS_SECONDS)
                log.write(f"no URL came to an end in {job.cfg.hang_seconds:g} s: killed\n".encode())
                log.flush()
                return
            time.sleep(_POLL_SECONDS)
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
