"""Processor time of alternatives, in one run: what the other scripts measure with."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turn(forms: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Call all forms, one after the other, as many times; return the processor times of each."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, work in forms.items():
            seconds[name].append(cpu_seconds(work))
    return seconds


def paired_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median of the ratios of two forms' times, each pair taken in one round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
