"""What a machine is told beside the parameters: memory and speed, no results but last bits.

FRANCA_IMAGES_PER_DEVICE   most images that a device works on at once; default: its whole share.
Beyond it gradients are accumulated.
FRANCA_RECOMPUTE           1: keep no activations within blocks, compute them again
FRANCA_COMPILE             1: compile each block of student and teacher. Minutes at the start; on a
CPU it does not pay (docs/training.md), on GPUs it has not been measured yet.
"""

import ctypes
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from franca.config.pretrain import Recipe

# Options of glibc's `mallopt`, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_AT_ONCE, _RECOMPUTE = "FRANCA_IMAGES_PER_DEVICE", "FRANCA_RECOMPUTE"
_COMPILE = "FRANCA_COMPILE"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a device goes about its share of a batch.

    Attributes:
        images_at_once: most images at once; None means its whole share.
        recompute: whether activations within blocks are computed again for their gradients.
        compiled: whether each block is compiled.
    """

    images_at_once: int | None = None
    recompute: bool = False
    compiled: bool = False


def read_machine(environment: Mapping[str, str] = os.environ) -> Machine:
    """Read the variables of the environment.

    Raises:
        ValueError: one has a value that it cannot have.
    """
    at_once = environment.get(_AT_ONCE, "")
    if at_once and not (at_once.isdecimal() and int(at_once)):
        raise ValueError(f"{_AT_ONCE}={at_once}: give a number of images, at least 1, or unset it")
    return Machine(
        images_at_once=int(at_once) if at_once else None,
        recompute=_switch(environment, _RECOMPUTE),
        compiled=_switch(environment, _COMPILE),
    )


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees for its next tensors, where its C library is glibc.

    glibc hands large blocks back to the system, which gives them out again page by page: a training
    step on a CPU meets 40,000 page faults, 5 to 11 % of its time. The process stays as large as it
    ever was.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _NEVER)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def images_at_once(recipe: Recipe, *, processes: int, machine: Machine) -> int:
    """Return how many images a device works on at once: the most that divide its share evenly.

    Raises:
        ValueError: the batch cannot be dealt out so that its result stays what it is.
    """
    batch, group = recipe.global_batch_size, recipe.images_per_group
    if batch % processes:
        raise ValueError(
            f"global_batch_size {batch} is no multiple of the {processes} processes; start another "
            "number of them"
        )
    share = batch // processes
    most = min(share, machine.images_at_once or share)
    if most == share:
        return share
    if recipe.dino_head.batch_norm or recipe.ibot_head.batch_norm:
        raise ValueError(
            f"{_AT_ONCE}={most} is less than the {share} images of a process, but heads with "
            "batch_norm need them together: start more processes, or set batch_norm: false"
        )
    fits = [n for n in range(1, most + 1) if share % n == 0 and group and n % group == 0]
    if not fits:
        raise ValueError(
            f"{_AT_ONCE}={most}: no such number of images divides the {share} of a process and "
            f"holds whole groups (images_per_group: {group or 'null, the whole batch'}): raise it, "
            "start more processes, or lower images_per_group"
        )
    return fits[-1]


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "") or "0"
    if value not in ("0", "1"):
        raise ValueError(f"{name}={value}: give 1 or 0")
    return value == "1"
