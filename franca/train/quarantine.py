"""Images that could not be decoded during a run: recorded once each, also across restarts."""

import json
from collections.abc import Iterator
from pathlib import Path

from franca.data.collate import MultiCropBatch
from franca.data.loader import MultiCropBatches


class RecordingBatches:
    """Batches whose undecodable images are kept in a file.

    Args:
        batches: they skip such images and remember them.
        path: JSON, a list of {"key", "reason"} by key.
    """

    def __init__(self, batches: MultiCropBatches, path: Path) -> None:
        self._batches = batches
        self._path = path

    def __call__(self, steps: range) -> Iterator[MultiCropBatch]:
        """Yield the batch of each step."""
        known = {row["key"]: row["reason"] for row in read_quarantine(self._path)}
        for batch in self._batches(steps):
            met = {image.key: image.reason for image in self._batches.quarantine}
            if not met.keys() <= known.keys():
                known |= met
                self._write(known)
            yield batch

    def _write(self, reasons: dict[str, str]) -> None:
        rows = [{"key": key, "reason": reasons[key]} for key in sorted(reasons)]
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._path)


def quarantine_file(work: Path, *, rank: int) -> Path:
    """Return where one of the processes of a run records what it met."""
    return work / f"quarantine-{rank}.json"


def read_run_quarantine(work: Path) -> list[dict[str, str]]:
    """Return the images that all processes of a run recorded, also in earlier starts."""
    return [row for file in sorted(work.glob("quarantine-*.json")) for row in read_quarantine(file)]


def read_quarantine(path: Path) -> list[dict[str, str]]:
    """Return the recorded images of a file; none if it is not there."""
    if not path.exists():
        return []
    rows: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return rows
