"""Run the download workers over the planned shards, and resume where a killed run stopped."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tqdm import tqdm

from data_filters.config import DownloadImages
from data_filters.download.plan import ShardPlan
from data_filters.download.worker import Job
from data_filters.io.files import write_text
from data_filters.io.processes import num_workers

_POLL_SECONDS: Final = 0.05
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
        RuntimeError: A worker failed; the message names its log.
    """
    todo = [plan for plan in plans if not plan.is_done(folder)]
    if not todo:
        return
    workers = min(num_workers(), len(todo))
    processes = [
        _start(_job(cfg, todo[index::workers], folder, origin), folder / f"worker-{index}")
        for index in range(workers)
    ]
    try:
        _wait(processes, todo, folder)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _job(cfg: DownloadImages, plans: Sequence[ShardPlan], folder: Path, origin: str | None) -> Job:
    return Job(
        shards=tuple(plans),
        output=folder,
        origin=origin,
        threads=cfg.threads,
        timeout_seconds=cfg.timeout_seconds,
        total_timeout_seconds=cfg.total_timeout_seconds,
        max_bytes=cfg.max_bytes,
        max_pixels=cfg.max_pixels,
        retries=cfg.retries,
        allow_loopback=cfg.allow_loopback,
        user_agent=cfg.user_agent,
        verify_md5=cfg.verify_md5,
        resize=cfg.resize,
    )


def _start(job: Job, place: Path) -> subprocess.Popen[bytes]:
    """Start a worker; its standard input stays open so that it notices our death."""
    order = place.with_suffix(".json")
    write_text(order, job.model_dump_json())
    with place.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "data_filters.download.worker", str(order)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


def _wait(
    processes: Sequence[subprocess.Popen[bytes]], todo: Sequence[ShardPlan], folder: Path
) -> None:
    with tqdm(total=len(todo), desc="download", unit="shard", file=sys.stderr) as bar:
        running = True
        while running:
            running = any(process.poll() is None for process in processes)
            for index, process in enumerate(processes):
                if process.returncode not in (None, 0):
                    raise RuntimeError(_failure(folder / f"worker-{index}.log"))
            done = sum(plan.is_done(folder) for plan in todo)
            if done != bar.n:
                bar.update(done - bar.n)
            time.sleep(_POLL_SECONDS)


def _failure(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"download worker failed: {' | '.join(lines[-_ERROR_LINES:])} (whole log: {log})"
