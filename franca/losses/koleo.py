"""KoLeo loss: spread the features of a batch over the sphere.

Sablayrolles et al., https://arxiv.org/abs/1806.03198, as in DINOv2.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize, pairwise_distance


def koleo_loss(
    features: Float[Tensor, "batch dim"],
    *,
    group_size: int | None = None,
    processes: dist.ProcessGroup | None = None,
    eps: float = 1e-6,
) -> Float[Tensor, ""]:
    """Return minus the mean log distance to the nearest neighbour on the unit sphere, in fp32.

    Its loop form:

        x = [feature / norm(feature) for feature in features]
        for i in range(batch):
            others = [j for j in range(batch) if j // group_size == i // group_size and j != i]
            nearest = max(others, key=lambda j: dot(x[i], x[j]))
            loss -= log(norm(x[i] - x[nearest] + eps) + eps) / batch

    Args:
        features: CLS of one view of each image, after the final norm and before any head. Two views
            of one image in a batch would be pushed apart: give them one after the other. A group of
            one has no neighbour and costs nothing.
        group_size: images among which neighbours are looked for, a divisor of the whole batch; None
            means all of it. DINOv2 takes those of one GPU, so that its loss changes with the number
            of GPUs; with a number there is nothing to send where each process has whole groups.
        processes: those that share the batch, each with equally many images, in order; the loss is
            that of the images at hand, the mean over the processes that of the batch.
        eps: smallest distance; bounds the gradient of duplicates by 1 / eps. The released code has
            1e-8, in half precision, where it is 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        x = normalize(features.float(), eps=eps)
        everyones, first = x, 0
        if processes is not None and (group_size is None or len(x) % group_size):
            gather = cast("Callable[..., Tensor]", _Gather.apply)
            everyones, first = gather(x, processes), len(x) * processes.rank()
        size = group_size or len(everyones)
        if size < 2 or len(everyones) < 2:
            return x.sum() * 0
        mine = torch.arange(first, first + len(x), device=x.device)[:, None]
        others = torch.arange(len(everyones), device=x.device)
        strangers = (mine // size != others // size) | (mine == others)
        similarity = (x @ everyones.T).detach().masked_fill_(strangers, -torch.inf)
        distance = pairwise_distance(x, everyones[similarity.argmax(dim=1)], eps=eps)
        return -(distance + eps).log().mean()


class _Gather(torch.autograd.Function):
    """The rows of all processes, in their order; a gradient goes back to whose row it is."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: dist.ProcessGroup) -> Tensor:
        ctx.processes = processes
        gathered = rows.new_empty(processes.size() * len(rows), *rows.shape[1:])
        dist.all_gather_single(gathered, rows.contiguous(), group=processes)
        return gathered

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        own = grad.new_empty(len(grad) // ctx.processes.size(), *grad.shape[1:])
        dist.reduce_scatter_single(own, grad.contiguous(), group=ctx.processes)
        return own, None
