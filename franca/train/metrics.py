"""What a run reports: metrics.jsonl by step, and speed, which never enters a published file."""

import json
import time
from collections.abc import Mapping
from pathlib import Path


class MetricsFile:
    """One JSON object per logged step, appended and flushed; content depends on the run alone."""

    def __init__(self, path: Path, *, first_step: int) -> None:
        """Open `path`, dropping the rows from `first_step` on, which are about to be redone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] < first_step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        partial.replace(path)
        self._path = path

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the row of one step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


class Speed:
    """Images per second since the run started or was resumed."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._images = 0

    def count(self, images: int) -> None:
        """Add the images of one step."""
        self._images += images

    @property
    def images_per_second(self) -> float:
        """Mean rate so far."""
        return self._images / max(time.monotonic() - self._start, 1e-9)


def _whole_lines(path: Path) -> list[str]:
    """Return the complete lines of a file; a kill may have torn the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(True) if line[-1] == "\n"]
