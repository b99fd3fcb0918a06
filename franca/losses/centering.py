"""Softmax centering: the teacher targets of DINO, an alternative to Sinkhorn-Knopp.

Caron et al., https://arxiv.org/abs/2104.14294, section 3.1: subtract a running mean of the teacher
logits against collapse to one prototype; sharpen against collapse to uniform targets.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

Logits = Float[Tensor, "_ _"]
"""[rows, prototypes]; both differ from level to level."""


class SoftmaxCentering(nn.Module):
    """Targets softmax((logits - center) / temperature), one center per level.

    The centers are state: they belong in a checkpoint, and change with every call.

    Args:
        prototypes: number of prototypes of each level.
        momentum: share of the old center that an update keeps.
    """

    def __init__(self, prototypes: Sequence[int], *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.sizes = list(prototypes)
        self.register_buffer("centers", torch.zeros(sum(prototypes)))
        self.centers: Tensor

    @torch.no_grad()
    def forward(
        self,
        logits: Sequence[Logits],
        *,
        temperature: float,
        group: dist.ProcessGroup | None = None,
    ) -> list[Logits]:
        """Return fp32 targets from the batches seen before, then let this batch move the centers.

        Args:
            logits: one matrix per level.
            temperature: of the teacher.
            group: processes that share the centers; None means this process alone.
        """
        matrices = [matrix.float() for matrix in logits]
        targets = [
            ((matrix - center) / temperature).softmax(dim=1)
            for matrix, center in zip(matrices, self.centers.split(self.sizes), strict=True)
        ]
        self._update(matrices, group)
        return targets

    def _update(self, matrices: list[Tensor], group: dist.ProcessGroup | None) -> None:
        """Move each center towards the mean of all rows of all processes; no rows, no move."""
        counts = [self.centers.new_full((m.shape[1],), len(m)) for m in matrices]
        pooled = torch.stack([torch.cat([m.sum(dim=0) for m in matrices]), torch.cat(counts)])
        if group is not None:
            dist.all_reduce(pooled, group=group)
        total, count = pooled
        mean = torch.where(count > 0, total / count.clamp_min(1), self.centers)
        self.centers.lerp_(mean, 1 - self.momentum)
