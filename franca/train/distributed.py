"""The processes that train together: `torchrun` starts them, FSDP2 shards what they train.

Each process has an equal, contiguous share of every batch, and a shard of every parameter, of its
gradient, its moments and its teacher. One process alone shards nothing and sends nothing.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from franca.heads.batch_norm import BatchNorm
from franca.models.layers import Block
from franca.ssl.student_teacher import Networks, StudentTeacher
from franca.train.precision import Precision, training_device

# A process may wait that long for others: some file systems take minutes to open the first shard.
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among those that train together.

    Attributes:
        device: on which this process computes.
        rank: number of this process.
        size: number of processes.
        group: through which they speak; None if there is one alone.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have in common."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Return which of `count` things, a multiple of the processes, are this process's."""
        each = count // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes."""
        if self.group is None:
            return values
        dist.all_reduce(values, group=self.group)
        return values / self.size

    def norm(self, norms: Tensor) -> Tensor:
        """Return the norms of what is dealt out, given those of what each process has."""
        if self.group is None:
            return norms
        squares = norms.square()
        dist.all_reduce(squares, group=self.group)
        return squares.sqrt()

    def from_first(self, number: int) -> int:
        """Return the number that the first process has."""
        if self.group is None:
            return number
        shared = torch.tensor(number, device=self.device)
        dist.broadcast(shared, src=0, group=self.group)
        return int(shared.item())

    def gather_texts(self, text: str) -> list[str]:
        """Return the texts of all processes, in their order."""
        if self.group is None:
            return [text]
        mine = torch.tensor(list(text.encode()), dtype=torch.uint8, device=self.device)
        lengths = [mine.new_zeros((), dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor(len(mine), device=self.device), group=self.group)
        padded = mine.new_zeros(int(torch.stack(lengths).max()))
        padded[: len(mine)] = mine
        everyones = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(everyones, padded, group=self.group)
        return [
            bytes(characters[:length].tolist()).decode()
            for characters, length in zip(everyones, lengths, strict=True)
        ]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.group is not None:
            dist.barrier(group=self.group)


@contextlib.contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that `torchrun` started; without it there is one alone."""
    device = training_device()
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=_PATIENCE, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield World(device=device, rank=dist.get_rank(), size=size, group=dist.group.WORLD)
    finally:
        dist.destroy_process_group()


def shard(method: StudentTeacher, world: World, *, precision: Precision) -> None:
    """Deal student and teacher out over the processes; alone, leave them as they are.

    The matrices of the blocks travel in the precision in which they are multiplied; gradients are
    averaged in fp32.
    """
    if world.group is None:
        return
    method.group = world.group
    for networks in (method.student, method.teacher):
        _shard_networks(networks, world.device, precision=precision)
        for module in networks.modules():
            if isinstance(module, BatchNorm):
                module.processes = world.group


def _shard_networks(networks: Networks, device: torch.device, *, precision: Precision) -> None:
    from torch.distributed.device_mesh import init_device_mesh  # here: it takes a second to import
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    # Its warning: an operation in place on the output would go wrong. There is none.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    plain = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    matrices = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision == "bf16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # autocast does
    )
    for block in cast("list[Block]", list(networks.backbone.blocks)):
        # Norms and LayerScales, which are computed in fp32, come with the backbone.
        fully_shard([block.attn, block.mlp], mesh=mesh, mp_policy=matrices)
    for part in networks.children():
        # By default a root stays whole until its backward pass, and the teacher has none.
        fully_shard(part, mesh=mesh, mp_policy=plain, reshard_after_forward=True)
    for name in ("forward_features", "forward_multicrop"):
        register_fsdp_forward_method(networks.backbone, name)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; all processes must ask."""
    return cast("Any", tensor).full_tensor() if is_sharded(tensor) else tensor


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor is dealt out over the processes."""
    return hasattr(tensor, "device_mesh")


def deal_out(full: Tensor, *, like: Tensor) -> Tensor:
    """Return a whole tensor, which all processes have, in the shards of another."""
    moved = full.to(like.device)
    if not is_sharded(like):
        return moved
    from torch.distributed.tensor import distribute_tensor

    sharded = cast("Any", like)
    return distribute_tensor(moved, sharded.device_mesh, sharded.placements, src_data_rank=None)
