"""Batch normalisation over the rows of all processes that share a batch.

torch's `SyncBatchNorm` does the same on GPUs alone.
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class BatchNorm(nn.BatchNorm1d):
    """torch's, which in training mode takes mean and variance over the rows of all processes.

    Attributes:
        processes: those that share the batch; None means this process alone.
    """

    processes: dist.ProcessGroup | None = None

    def forward(self, rows: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """Normalise each column, in fp32: a count of rows is no bf16 number above 256."""
        rows = rows.float()
        if self.processes is None or not self.training:
            normalised: Tensor = super().forward(rows)
            return normalised
        count, mean, variance = _moments(rows, self.processes)
        self._track(count.detach(), mean.detach(), variance.detach())
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (rows - mean) * scale + self.bias

    @torch.no_grad()
    def _track(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as torch does: with the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


def _moments(rows: Tensor, processes: dist.ProcessGroup) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of all rows, and their mean and biased variance, column by column."""
    add_up = cast("Any", _Sum.apply)
    count = rows.new_full((1,), len(rows))
    total, count = add_up(torch.cat([rows.sum(dim=0), count]), processes).split([rows.shape[1], 1])
    mean = total / count
    variance = add_up((rows - mean).square().sum(dim=0), processes) / count
    return count, mean, variance


class _Sum(torch.autograd.Function):
    """The sum over the processes; each has its part in the result of all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: dist.ProcessGroup) -> Tensor:
        ctx.processes = processes
        total = values.clone()
        dist.all_reduce(total, group=processes)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.clone()
        dist.all_reduce(total, group=ctx.processes)
        return total, None
