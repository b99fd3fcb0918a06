"""Download the planned shards, and resume where a killed run stopped."""

import math
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tqdm import tqdm

from data_filters.config import DownloadImages
from data_filters.download.distribute import DISTRIBUTORS
from data_filters.download.job import Job
from data_filters.download.plan import ShardPlan
from data_filters.io.processes import num_workers

_POLL_SECONDS: Final = 0.2
_ERROR_LINES: Final = 3


def fetch_shards(
    cfg: DownloadImages, plans: Sequence[ShardPlan], *, folder: Path, origin: str | None
) -> None:
    """Download every planned shard that `folder` does not hold yet.

    Args:
        cfg: Limits.
        plans: The shards.
        folder: Where raw shards appear, each complete as soon as its table is there.
        origin: `host:port` put in place of `{origin}` in URLs, for the embedded world.

    Raises:
        RuntimeError: Shards are missing when all is tried; the message names a worker's log.
        ValueError: The distributor is not installed.
    """
    todo = [plan for plan in plans if not plan.is_done(folder)]
    if not todo:
        return
    for scratch in folder.glob(".shard-*"):  # of a run that was killed
        shutil.rmtree(scratch) if scratch.is_dir() else scratch.unlink()
    workers = num_workers()
    size = min(cfg.shards_per_process, math.ceil(len(todo) / workers))
    jobs = [
        Job(shards=tuple(todo[start : start + size]), cfg=cfg, output=folder, origin=origin)
        for start in range(0, len(todo), size)
    ]
    with _progress(todo, folder):
        DISTRIBUTORS[cfg.distributor](jobs, workers=workers)
    failed = [job for job in jobs if job.left()]
    if failed:
        raise RuntimeError(_failure(failed))


@contextmanager
def _progress(todo: Sequence[ShardPlan], folder: Path) -> Iterator[None]:
    """Show how many shards are there, whoever makes them, while the block runs."""
    over = threading.Event()
    missing = list(todo)

    def watch() -> None:
        with tqdm(total=len(todo), desc="download", unit="shard", file=sys.stderr) as bar:
            last = False
            while not last:
                last = over.wait(_POLL_SECONDS)
                there = {file.name for file in folder.iterdir()}  # one call for all that is missing
                missing[:] = [
                    plan for plan in missing if plan.table not in there or not plan.is_done(folder)
                ]
                bar.update(len(todo) - len(missing) - bar.n)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _failure(failed: Sequence[Job]) -> str:
    log = failed[0].file(".log")
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()][-_ERROR_LINES:]
    shards = sum(len(job.left()) for job in failed)
    return (
        f"download worker failed, {shards} shards missing: {' | '.join(lines)} (whole log: {log})"
    )
