"""Training logs: `metrics.jsonl` as columns, thinned for drawing."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def read_log(folder: Path) -> dict[str, tuple[Numbers, Numbers]]:
    """Read `metrics.jsonl` of a training folder.

    Returns:
        (steps, values) of every logged quantity, in order of first appearance; empty if there is
        no log.
    """
    file = folder / "metrics.jsonl"
    if not file.is_file():
        return {}
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        row: Mapping[str, float] = json.loads(line)
        for name, value in row.items():
            if name != "step":
                steps, values = columns.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(value)
    return {name: (np.array(x, float), np.array(y, float)) for name, (x, y) in columns.items()}


def thin(steps: Numbers, values: Numbers, *, points: int) -> tuple[Numbers, Numbers]:
    """Average neighbouring steps until at most `points` remain.

    Args:
        steps: [n], ascending.
        values: [n].
        points: Largest number of points to keep.
    """
    if len(steps) <= points:
        return steps, values
    edges = np.linspace(0, len(steps), points + 1).astype(int)[:-1]
    sizes = np.diff(np.append(edges, len(steps)))
    return np.add.reduceat(steps, edges) / sizes, np.add.reduceat(values, edges) / sizes
