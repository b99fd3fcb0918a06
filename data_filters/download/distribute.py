"""Who runs the worker processes: this machine, a Spark cluster or a Ray cluster.

Spark and Ray go through img2dataset's own distributors, which call what they are given once per
task and do not mind that it is ours. Its multiprocessing distributor is not used: its pool waits
for ever for a process that the system killed, and has to import img2dataset, and with it torch,
here.
"""

import importlib.util
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Final

from data_filters.download.job import Job
from data_filters.download.supervise import run_worker

Task = tuple[int, Job]


def multiprocessing(jobs: Sequence[Job], *, workers: int) -> None:
    """Run up to `workers` processes at a time on this machine."""
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(partial(run_worker, stop=stop), jobs))
        finally:
            stop.set()


def pyspark(jobs: Sequence[Job], *, workers: int) -> None:
    """Run one task per job in the active Spark session, or in a local one of `workers` threads."""
    _check_installed("pyspark")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise ValueError(
            "download_images.distributor is pyspark, and Spark runs on Java, which is not there: "
            "install a JRE of version 17 or later, or set JAVA_HOME"
        )
    _through_img2dataset("pyspark", jobs, workers=workers)


def ray(jobs: Sequence[Job], *, workers: int) -> None:
    """Run one task per job in the Ray cluster that `ray.init` finds, or in a local one."""
    _check_installed("ray")
    _through_img2dataset("ray", jobs, workers=workers)


def _check_installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise ValueError(
            f"download_images.distributor is {name}, which is not installed: "
            f"pip install 'franca-pipeline[{name}]'"
        )


def _through_img2dataset(name: str, jobs: Sequence[Job], *, workers: int) -> None:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it phones home otherwise
    from img2dataset import distributor

    distribute = getattr(distributor, f"{name}_distributor")
    distribute(workers, run_task, list(enumerate(jobs)), len(jobs), 0)


def run_task(task: Task) -> tuple[bool, Task]:
    """Run one job; return whether its shards are there, and the task, as img2dataset expects."""
    return run_worker(task[1]), task


DISTRIBUTORS: Final = MappingProxyType(
    {"multiprocessing": multiprocessing, "pyspark": pyspark, "ray": ray}
)
"""Values of `download_images.distributor`."""
