"""The training state on disk: written atomically, verified by hash, the newest good one is used.

    <folder>/step-0000400/tensors.safetensors   weights of student and teacher, optimiser moments
                         /state.json            {"step": 400, "sha256": "..."}
    <folder>/step-0000500/...                   only the two newest are kept

A folder appears by one rename, so a kill at any moment leaves whole states only. What a rename
cannot rule out (a full disk, a file system that lost its tail) the hash finds: the state before
is used instead, and a line in the log says so.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

logger = logging.getLogger(__name__)

KEPT_STATES = 2
_TENSORS = "tensors.safetensors"
_STATE = "state.json"


def save_state(folder: Path, *, step: int, tensors: Mapping[str, Tensor]) -> Path:
    """Publish the state after `step` updates and remove all but the two newest."""
    target = folder / f"step-{step:07d}"
    if not target.exists():
        staging = folder / f".{target.name}.partial"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write_state(staging, step=step, tensors=tensors)
        staging.rename(target)
    for old in _newest_first(folder)[KEPT_STATES:]:
        shutil.rmtree(old)
    return target


def write_state(folder: Path, *, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Write the two files of a state into an existing folder and flush them to the disk."""
    path = folder / _TENSORS
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    _flush(path)
    state = {"step": step, "sha256": file_sha256(path)}
    (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    _flush(folder / _STATE)


def read_state(folder: Path) -> tuple[int, dict[str, Tensor]]:
    """Read one state.

    Raises:
        ValueError: a file is missing, truncated or altered.
    """
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        digest = file_sha256(folder / _TENSORS)
        if digest != state["sha256"]:
            raise ValueError(f"{_TENSORS} has sha256 {digest[:12]}, not {state['sha256'][:12]}")
        return int(state["step"]), load_file(folder / _TENSORS)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"the training state in {folder} cannot be used ({error}): remove the folder"
        ) from error


def load_newest_state(folder: Path) -> tuple[int, dict[str, Tensor]] | None:
    """Read the newest usable state; remove damaged ones with a logged line; None without any."""
    for candidate in _newest_first(folder):
        try:
            return read_state(candidate)
        except ValueError as error:
            logger.warning("falling back to the state before: %s", error)
            shutil.rmtree(candidate)
    return None


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
