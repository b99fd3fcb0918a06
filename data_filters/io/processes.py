"""Independent jobs on several cores, and what of the machine a stage may use.

How many cores and how much memory there are changes nothing but the time.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final, TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")

VARIABLE: Final = "FRANCA_WORKERS"
"""Environment variable that caps the processes: a fact of the machine, never a parameter."""

MEMORY_VARIABLE: Final = "FRANCA_MEMORY_MB"
"""Environment variable with the memory that a stage may use, MB; the rules set it."""

_DEFAULT_MEMORY: Final = 4000
_MIN_JOBS_PER_WORKER: Final = 4


def num_workers() -> int:
    """Cores this process may use, or what `FRANCA_WORKERS` says.

    Raises:
        ValueError: The variable is set to something else than a positive number.
    """
    return _setting(VARIABLE, of="processes") or len(os.sched_getaffinity(0))


def memory_megabytes() -> int:
    """Memory that this stage may use, MB: what `FRANCA_MEMORY_MB` says, or 4000.

    Raises:
        ValueError: The variable is set to something else than a positive number.
    """
    return _setting(MEMORY_VARIABLE, of="megabytes") or _DEFAULT_MEMORY


def _setting(variable: str, *, of: str) -> int | None:
    setting = os.environ.get(variable)
    if setting is not None and (not setting.isdecimal() or int(setting) < 1):
        raise ValueError(f"{variable}={setting!r}: expected a number of {of}, 1 or more")
    return None if setting is None else int(setting)


def run_jobs(
    function: Callable[[Job], Result], jobs: Sequence[Job], *, label: str
) -> Iterator[Result]:
    """Yield `function(job)` for every job, in order, with a progress bar.

    Processes are spawned rather than forked: Arrow and DuckDB hold threads, which a fork would copy
    half of. A handful of jobs runs here: a process takes seconds to start.

    Args:
        function: A module-level function, or a `functools.partial` of one.
        jobs: Its arguments.
        label: What the progress bar says.
    """
    bar = tqdm(total=len(jobs), desc=label, unit="shard", file=sys.stderr, disable=len(jobs) < 2)
    workers = min(num_workers(), len(jobs) // _MIN_JOBS_PER_WORKER)
    with bar:
        if workers <= 1:
            for job in jobs:
                yield function(job)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for result in pool.map(function, jobs):
                yield result
                bar.update()
