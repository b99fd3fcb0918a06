"""The training state on disk: written beside training, verified by hash, the newest good one used.

    <folder>/step-0000400/tensors.safetensors   weights of student and teacher, optimiser moments
                         /state.json            {"step": 400, "sha256": {file: hash}}
    <folder>/step-0000500/...                   only the two newest are kept

Of several processes each writes what it has, `tensors-00000.safetensors` and so on, in the order of
the rows; any number of processes reads them. A folder appears by one rename, so a kill at any
moment leaves whole states only. What a rename cannot rule out (a full disk, a file system that lost
its tail) the hash finds: the state before is used instead, and a line in the log says so.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from franca.models.weights import save_tensors

logger = logging.getLogger(__name__)

KEPT_STATES = 2
_TENSORS = "tensors.safetensors"
_STATE = "state.json"
_POLL_SECONDS = 0.05


class StoredState(Mapping[str, Tensor]):
    """The tensors of a state by name, each read when it is asked for, whole."""

    def __init__(self, files: list[Path]) -> None:
        """Take the files of one state, in the order of their rows."""
        self._files: list[Any] = [safe_open(file, framework="pt") for file in files]
        self._names = [set(file.keys()) for file in self._files]

    def __getitem__(self, name: str) -> Tensor:
        parts = [
            file.get_tensor(name)
            for file, names in zip(self._files, self._names, strict=True)
            if name in names
        ]
        if not parts:
            raise KeyError(name)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(set().union(*self._names)))

    def __len__(self) -> int:
        return len(set().union(*self._names))


class StateWriter:
    """Writes states while training goes on; a state appears when all processes have written.

    The tensors are copied first and written in a thread. The next state waits for the one before,
    and leaving the context waits for the last.

    Args:
        folder: of the states, the same for all processes.
        rank: of this process; the first makes whole states of the parts.
        size: number of processes.
    """

    def __init__(self, folder: Path, *, rank: int = 0, size: int = 1) -> None:
        self._folder, self._rank, self._size = folder, rank, size
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._given_up = threading.Event()

    def __enter__(self) -> "StateWriter":
        """Start without leftovers of a run that was killed."""
        if self._rank == 0:
            for leftover in self._folder.glob(".step-*.partial"):
                shutil.rmtree(leftover)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the last state; after an error no longer for the other processes."""
        if error is not None:
            self._given_up.set()
            with contextlib.suppress(OSError):  # the first error is the one to tell
                self.wait()
        else:
            self.wait()

    def save(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Take a copy of this process's tensors after `step` updates, and write it meanwhile."""
        self.wait()
        copies = {name: _copy(tensor) for name, tensor in tensors.items()}
        self._thread = threading.Thread(target=self._write, args=(step, copies), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until what was saved is on the disk.

        Raises:
            OSError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        try:
            target = _folder_of(self._folder, step)
            if not target.exists():
                staging = self._folder / f".{target.name}.partial"
                staging.mkdir(parents=True, exist_ok=True)
                _write_part(staging / self._file(self._rank), tensors)
                if self._rank == 0:
                    self._publish(staging, target, step)
            if self._rank == 0:
                for old in _newest_first(self._folder)[KEPT_STATES:]:
                    shutil.rmtree(old)
        except BaseException as error:  # noqa: BLE001  # raised by the thread that trains
            self._error = error

    def _publish(self, staging: Path, target: Path, step: int) -> None:
        digests = {}
        for rank in range(self._size):
            name = self._file(rank)
            digest = _digest_file(staging / name)
            while not digest.exists():  # another process is still writing
                if self._given_up.is_set():
                    return
                time.sleep(_POLL_SECONDS)
            digests[name] = digest.read_text(encoding="utf-8")
            digest.unlink()
        _write_json(staging / _STATE, {"step": step, "sha256": digests})
        staging.rename(target)

    def _file(self, rank: int) -> str:
        return _TENSORS if self._size == 1 else f"tensors-{rank:05d}.safetensors"


def write_state(folder: Path, *, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Write a whole state into an existing folder and flush it to the disk."""
    _write_part(folder / _TENSORS, tensors)
    digest = _digest_file(folder / _TENSORS)
    _write_json(folder / _STATE, {"step": step, "sha256": {_TENSORS: digest.read_text("utf-8")}})
    digest.unlink()


def read_state(folder: Path) -> tuple[int, StoredState]:
    """Read one state.

    Raises:
        ValueError: a file is missing, truncated or altered.
    """
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        digests: Mapping[str, str] = state["sha256"]
        for name, expected in digests.items():
            digest = file_sha256(folder / name)
            if digest != expected:
                raise ValueError(f"{name} has sha256 {digest[:12]}, not {expected[:12]}")
        return int(state["step"]), StoredState([folder / name for name in sorted(digests)])
    except (OSError, KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise ValueError(
            f"the training state in {folder} cannot be used ({error}): remove the folder"
        ) from error


def newest_step(folder: Path) -> int | None:
    """Return the step of the newest usable state in a folder of states; None without any.

    Damaged ones are removed with a logged line.
    """
    for candidate in _newest_first(folder):
        try:
            return read_state(candidate)[0]
        except ValueError as error:
            logger.warning("falling back to the state before: %s", error)
            shutil.rmtree(candidate)
    return None


def open_state(folder: Path, step: int) -> StoredState:
    """Open the state after `step` updates, which is known to be good."""
    state = _folder_of(folder, step)
    digests = json.loads((state / _STATE).read_text(encoding="utf-8"))["sha256"]
    return StoredState([state / name for name in sorted(digests)])


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _write_part(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, and last, beside them, their hash."""
    save_tensors({name: tensor.detach() for name, tensor in tensors.items()}, path)
    _flush(path)
    digest = _digest_file(path)
    partial = digest.with_suffix(".writing")
    partial.write_text(file_sha256(path), encoding="utf-8")
    partial.rename(digest)


def _digest_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _flush(path)


def _folder_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:07d}"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
