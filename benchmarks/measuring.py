"""What benchmarks measure alike: processor time, forms in turn, the memory of a process."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turn(
    forms: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the CPU seconds of every form in every round, after some rounds that do not count."""
    turns = [
        {name: cpu_seconds(form) for name, form in forms.items()} for _ in range(warm_up + rounds)
    ]
    return {name: [turn[name] for turn in turns[warm_up:]] for name in forms}


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median of the ratios of what was measured in the same round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def peak_megabytes() -> float:
    """Return the most memory this process ever held; `getrusage` would add its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
