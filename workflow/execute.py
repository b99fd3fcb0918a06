"""Run one stage: resolve, look for inputs, work, publish. Every door leads through here."""

import contextlib
import fcntl
import hashlib
import importlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from franca.train.interruption import StopRequest
from workflow import receipts
from workflow.params import part_names, stage_parameters, write_resolved
from workflow.stages import BY_NAME, RECEIPT, Stage, artifact_folder, log_file, work_folder

_TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A stage of one scale and variant with its resolved parameters."""

    stage: Stage
    scale: str
    variant: str
    parameters: Any  # an instance of `parameters_class()`

    def folder(self, name: str) -> Path:
        """Where stage `name` of this scale and variant publishes."""
        return artifact_folder(BY_NAME[name], scale=self.scale, variant=self.variant)

    def inputs(self, part: str | None = None) -> dict[str, Path]:
        """The published folders that the stage, or one part of it, reads, by stage name."""
        folders = {name: self.folder(name) for name in self.stage.needs}
        return {
            name: folder / part if part and name in self.stage.by_group else folder
            for name, folder in folders.items()
        }

    @property
    def resolved(self) -> dict[str, Any]:
        """What the result depends on, as it goes into the receipt."""
        return stage_parameters(self.parameters, self.stage)

    @property
    def sections(self) -> dict[str, Any]:
        """Keyword arguments of the stage's `run`: the seed, its section and the shared ones."""
        shared = {name: getattr(self.parameters, name) for name in self.stage.shared}
        return {"seed": self.parameters.seed, **shared}

    def describe(self) -> str:
        """What would run, for `--show`."""
        lines = [f"{self.stage.name}: {self.stage.summary}", "reads:"]
        lines += [f"  {name}: {folder}" for name, folder in self.inputs().items()] or ["  nothing"]
        lines += [f"writes:\n  {self.folder(self.stage.name)}", "parameters:"]
        lines.append(json.dumps(self.resolved, indent=1))
        return "\n".join(lines)


def run_stage(run: Run, *, part: str | None = None) -> None:
    """Run a stage, or one part of a stage that fans out, and publish what it made.

    Called without a part, a stage that fans out runs the parts that are not there yet and then
    gathers them.

    Raises:
        FileNotFoundError: An input has not been published, or a listed file is missing.
        ValueError: What the stage itself says about bad input.
        SystemExit: A stage that trains was asked to stop; run again, it continues.
    """
    rank, processes = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    if processes > 1 and not run.stage.trains:
        raise ValueError(f"{run.stage.name} runs in one process: start it without torchrun")
    if run.stage.trains:
        with StopRequest() as stop:  # before it is imported, which takes seconds
            _train(run, stop, is_first=rank == 0)
        return
    write_resolved(run.parameters, scale=run.scale, variant=run.variant)
    if run.stage.fan_out is None:
        _run_one(run, target=run.folder(run.stage.name), part=None)
        return
    names = part_names(run.stage, run.parameters)
    if part is not None and part not in names:
        raise ValueError(f"--{run.stage.fan_out} {part}: not one of {', '.join(names)}")
    folder = run.folder(run.stage.name)
    if part is not None:
        _run_one(run, target=folder / part, part=part)
        return
    for name in names:
        if not _is_current(run, folder / name, part=name):
            _run_one(run, target=folder / name, part=name)
    _gather(run, {name: folder / name for name in names})


def _is_current(run: Run, folder: Path, *, part: str) -> bool:
    try:
        receipt = receipts.read(folder)
    except FileNotFoundError:
        return False
    hashes = _hashes(run.inputs(part))
    return bool(receipt["parameters"] == run.resolved and receipt["inputs"] == hashes)


def _hashes(folders: dict[str, Path]) -> dict[str, str]:
    return {name: receipts.file_hash(folder / RECEIPT) for name, folder in folders.items()}


def _train(run: Run, stop: StopRequest, *, is_first: bool) -> None:
    """Be one of the processes of `torchrun` that train together; the first one publishes."""
    if is_first:
        write_resolved(run.parameters, scale=run.scale, variant=run.variant)
        _run_one(run, target=run.folder(run.stage.name), part=None, stop=stop)
        return
    work = _work(run, None)
    _call(run, part=None, inputs=run.inputs(), output=work / "staging", work=work, stop=stop)


def _run_one(run: Run, *, target: Path, part: str | None, stop: StopRequest | None = None) -> None:
    inputs = run.inputs(part)
    for folder in inputs.values():
        receipts.verify(folder)
    work = _work(run, part)
    with _alone(work), _logging(run, part):
        staging = _empty(work / "staging")
        summary = _call(run, part=part, inputs=inputs, output=staging, work=work, stop=stop)
        _publish(run, staging, target, inputs=inputs, summary=summary)
    shutil.rmtree(work)


def _call(
    run: Run,
    *,
    part: str | None,
    inputs: dict[str, Path],
    output: Path,
    work: Path,
    stop: StopRequest | None,
) -> dict[str, Any]:
    extra: dict[str, Any] = {} if part is None else {str(run.stage.fan_out): part}
    if stop is not None:
        file = log_file(run.stage, scale=run.scale, variant=run.variant)
        extra["logs"] = file.with_suffix("") / work.name  # of these parameters and inputs alone
        extra["stop"] = stop
    summary: dict[str, Any] = _module(run.stage).run(
        getattr(run.parameters, run.stage.name),
        **run.sections,
        **extra,
        inputs=inputs,
        output=output,
        work=_existing(work / "state"),
    )
    return summary


def _gather(run: Run, parts: dict[str, Path]) -> None:
    inputs = run.inputs()
    for folder in (*inputs.values(), *parts.values()):
        receipts.verify(folder)
    work = _work(run, None)
    with _alone(work), _logging(run, None):
        staging = _empty(work / "staging")
        summary = _module(run.stage).gather(
            getattr(run.parameters, run.stage.name),
            **run.sections,
            parts=parts,
            inputs=inputs,
            output=staging,
            work=_existing(work / "state"),
        )
        target = run.folder(run.stage.name)
        _publish(run, staging, target, inputs=parts, summary=summary, keep=list(parts))
    shutil.rmtree(work)


def _publish(
    run: Run,
    staging: Path,
    target: Path,
    *,
    inputs: dict[str, Path],
    summary: dict[str, Any],
    keep: list[str] | None = None,
) -> None:
    receipt = receipts.make(
        staging,
        stage=run.stage.name,
        parameters=run.resolved,
        inputs=inputs,
        summary=summary,
    )
    receipts.publish(staging, target, receipt, keep=keep or [])


def _module(stage: Stage) -> ModuleType:
    # One thread, whatever started us, unless the stage's parameters say otherwise: sums in another
    # order have other last bits. Set before anything that reads it is imported.
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # torch asks Linux for large pages for its large tensors on a CPU; read at its first tensor.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return importlib.import_module(f"{stage.package}.stages.{stage.name}")


def _work(run: Run, part: str | None) -> Path:
    """A folder keyed by parameters and inputs: what it holds can be continued, never stale."""
    key = json.dumps([run.resolved, _hashes(run.inputs(part)), part], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return _existing(work_folder(run.stage, scale=run.scale, variant=run.variant) / digest)


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return _existing(folder)


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{work}: another process runs this stage; wait for it") from None
        yield


@contextlib.contextmanager
def _logging(run: Run, part: str | None) -> Iterator[None]:
    """Append the stage's log to its file, and show it on the terminal."""
    file = log_file(run.stage, scale=run.scale, variant=run.variant, part=part)
    file.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handlers: list[logging.Handler] = [
        logging.FileHandler(file, encoding="utf-8"),
        logging.StreamHandler(sys.stderr),
    ]
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    level, root.level = root.level, logging.INFO
    try:
        yield
    finally:
        root.level = level
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
