"""What an evaluation leaves behind: metrics.json, per-image evidence behind it, predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["higher", "lower"]
_DECIMALS = 6


@dataclass(frozen=True)
class Metric:
    """One number with its interval and everything needed to compare it fairly.

    Attributes:
        benchmark: registered name of the benchmark.
        dataset: name of the evaluation set.
        metric: name, with a variant after an @ ("top1@k10").
        value: the number, in `unit`.
        ci95: 95 % interval over images.
        n: number of images behind it.
        direction: which way is better.
        protocol: what exactly was done; numbers of different protocols do not compare.
        version: of our implementation; rises with any change of a number.
        unit: "fraction", "m", "degree", "bit", "1".
    """

    benchmark: str
    dataset: str
    metric: str
    value: float
    ci95: tuple[float, float]
    n: int
    direction: Direction
    protocol: str
    version: str
    unit: str


def write_json(path: Path, content: Any) -> None:
    """Write sorted, indented JSON; a NaN is a bug and fails here rather than in a reader."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_metrics(path: Path, metrics: Sequence[Metric]) -> None:
    """Write the contract's metrics.json: a list of objects, numbers to six decimals."""
    rows = []
    for metric in metrics:
        low, high = metric.ci95
        rounded = {
            "value": round(metric.value, _DECIMALS),
            "ci95": [round(low, _DECIMALS), round(high, _DECIMALS)],
        }
        rows.append(asdict(metric) | rounded)
    write_json(path, rows)


def read_metrics(path: Path) -> list[Metric]:
    """Read a metrics.json back."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Metric(**(row | {"ci95": tuple(row["ci95"])})) for row in rows]


def read_details(folder: Path) -> dict[str, Any]:
    """Read how an evaluation was made: seed, resamples, and the address of each of its tasks."""
    file = folder / "details.json"
    if not file.is_file():
        return {"tasks": {}}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def evidence_path(folder: Path, benchmark: str, dataset: str) -> Path:
    """Return where the per-image evidence of one benchmark on one set is stored."""
    return folder / "evidence" / f"{benchmark}-{dataset}.npz"


def predictions_path(folder: Path, benchmark: str, dataset: str) -> Path:
    """Return where it is stored what one benchmark predicted of each image of one set."""
    return folder / "predictions" / f"{benchmark}-{dataset}.npz"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, images_digest: str) -> None:
    """Store what is known of images with their digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {"images_digest": np.array(images_digest), **arrays}
    np.savez_compressed(path, **dict(sorted(named.items())))


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Return what `write_arrays` stored, and the digest of its images."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "images_digest"}
        return arrays, str(archive["images_digest"])
