"""What a run reports: metrics.jsonl by step; speed, which no published file holds; TensorBoard."""

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import torch

from franca.models.gpus import peak_of
from franca.train.distributed import World

Batch = TypeVar("Batch")


class MetricsFile:
    """One JSON object per logged step, appended and flushed."""

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


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """How fast a run went since the report before.

    Attributes:
        images_per_second: of all processes.
        waiting_share: share of the time in which this process waited for data.
        memory_gigabytes: most that this process's GPU held; without a GPU the process itself.
        flop_utilisation: operations per second over the peak of the GPUs (MFU); None without a
            known GPU.
    """

    images_per_second: float
    waiting_share: float
    memory_gigabytes: float
    flop_utilisation: float | None

    @property
    def text(self) -> str:
        """In words, for the progress bar."""
        words = [f"{self.images_per_second:.0f} images/s"]
        if self.flop_utilisation is not None:
            words.append(f"{self.flop_utilisation:.0%} MFU")
        words += [f"{self.memory_gigabytes:.1f} GB", f"data {self.waiting_share:.0%}"]
        return ", ".join(words)


class Meter:
    """Measures speed between reports, the steps that are waited for included.

    Args:
        batch_size: images per step, over all processes.
        world: the processes.
        flops_per_image: operations of a step; see `franca.ssl.cost`.
    """

    def __init__(self, *, batch_size: int, world: World, flops_per_image: float) -> None:
        self._batch_size, self._world, self._flops = batch_size, world, flops_per_image
        cuda = world.device.type == "cuda"
        name = torch.cuda.get_device_name(world.device) if cuda else ""
        self._peak = peak_of(name)
        self._start()

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and measure how long each is waited for."""
        iterator = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - started
            yield batch

    def count_step(self) -> None:
        """Count one step."""
        self._steps += 1

    def lap(self) -> SpeedReport:
        """Report on the steps since the report before."""
        seconds = max(time.perf_counter() - self._started, 1e-9)
        rate = self._steps * self._batch_size / seconds
        report = SpeedReport(
            images_per_second=rate,
            waiting_share=min(self._waited / seconds, 1.0),
            memory_gigabytes=_peak_memory(self._world.device) / 1e9,
            flop_utilisation=self._peak and rate * self._flops / (self._peak * self._world.size),
        )
        self._start()
        return report

    def _start(self) -> None:
        self._started, self._waited, self._steps = time.perf_counter(), 0.0, 0


class RunLog:
    """The files of a run: `metrics.jsonl`, and in another folder what a clock went into.

    Content of the first depends on the run alone and is published.

    Args:
        work: private folder of the run, for `metrics.jsonl`.
        logs: for `speed.jsonl` and TensorBoard's files.
        first_step: rows from this one on are about to be redone.
        writes: whether this process is the one that writes.
    """

    def __init__(self, work: Path, *, logs: Path, first_step: int, writes: bool) -> None:
        self._writes = writes
        if writes:
            from tensorboardX import SummaryWriter  # here, because it is slow to import

            self._metrics = MetricsFile(work / "metrics.jsonl", first_step=first_step)
            self._speed = MetricsFile(logs / "speed.jsonl", first_step=first_step)
            self._events = SummaryWriter(str(logs), purge_step=first_step)

    def __enter__(self) -> "RunLog":
        """Do nothing: the files are open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close TensorBoard's file."""
        if self._writes:
            self._events.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the row of one step."""
        if self._writes:
            self._metrics.write(step, values)
            self._add_scalars("train", step, values)

    def write_speed(self, step: int, report: SpeedReport) -> None:
        """Append how fast the steps up to this one were."""
        if self._writes:
            known = {k: v for k, v in dataclasses.asdict(report).items() if v is not None}
            self._speed.write(step, known)
            self._add_scalars("speed", step, known)

    def _add_scalars(self, section: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.add_scalar(f"{section}/{name}", value, step)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # here: not on every system, and GPUs do not need it

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _whole_lines(path: Path) -> list[str]:
    """Return the complete lines of a file; a kill may have torn the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(True) if line[-1] == "\n"]
