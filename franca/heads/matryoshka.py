"""Matryoshka head: one projection head per level of nested features, coarse to fine.

Franca paper, section 2.1, after Kusupati et al., https://arxiv.org/abs/2205.13147.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.heads.levels import level_prototypes, level_widths
from franca.heads.projection import Normalization, Projection, ProjectionHead

Mode = Literal["slice", "project"]
FIVE_LEVELS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


class MatryoshkaHead(nn.Module):
    """Heads over nested features; a single level of 1.0 is exactly DINOv2's head.

    Level j has m_j = ⌊fraction · dim⌋ features, and prototypes in proportion to them.

    Args:
        dim: width of the feature.
        num_prototypes: of the last level.
        hidden_dim: see `ProjectionHead`, for each level.
        bottleneck_dim: see `ProjectionHead`.
        levels: ascending fractions of the feature; the paper has five.
        mode: `slice` gives level j the first m_j features, as the paper says, so the first features
            must do well alone; `project` gives it a learnt linear map of the full feature to m_j
            dimensions, as the code that trained the released models.
        num_layers: see `ProjectionHead`, as all that follows.
        normalization: of the embeddings.
        batch_norm: in the hidden layers.
        generator: source of the initial weights; None takes torch's global one.

    Raises:
        ValueError: if the levels are not ascending fractions, or one is too fine to have a feature
            and a prototype.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_prototypes: int,
        hidden_dim: int,
        bottleneck_dim: int,
        levels: Sequence[float] = FIVE_LEVELS,
        mode: Mode = "slice",
        num_layers: int = 3,
        normalization: Normalization = "dinov2",
        batch_norm: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.widths = level_widths(levels, dim=dim)
        self.num_prototypes = level_prototypes(levels, dim=dim, num_prototypes=num_prototypes)
        self.projections = (
            nn.ModuleList(nn.Linear(dim, width) for width in self.widths)
            if mode == "project"
            else None
        )
        self.levels = nn.ModuleList(
            ProjectionHead(
                in_dim=width,
                hidden_dim=hidden_dim,
                bottleneck_dim=bottleneck_dim,
                num_prototypes=count,
                num_layers=num_layers,
                normalization=normalization,
                batch_norm=batch_norm,
                generator=generator,
            )
            for width, count in zip(self.widths, self.num_prototypes, strict=True)
        )
        for linear in cast("list[nn.Linear]", self.projections or []):
            if not linear.weight.is_meta:
                nn.init.trunc_normal_(linear.weight, std=0.02, generator=generator)
                nn.init.zeros_(linear.bias)

    def prototypes(self) -> list[Float[Tensor, "_ bottleneck"]]:
        """Return the normalised prototypes of every level.

        A teacher whose weights serve several batches computes them once, for `forward`.
        """
        return [level.last_layer() for level in cast("list[ProjectionHead]", self.levels)]

    def forward(
        self,
        features: Float[Tensor, "rows dim"],
        *,
        prototypes: Sequence[Float[Tensor, "_ bottleneck"]] | None = None,
    ) -> list[Projection]:
        """Project the features of every level, coarsest first.

        Args:
            features: tokens after the final norm of the backbone.
            prototypes: what `prototypes()` returned; None computes them.
        """
        shared = [None] * len(self.levels) if prototypes is None else prototypes
        return [
            level(self._input(features, index), prototypes=given)
            for index, (level, given) in enumerate(zip(self.levels, shared, strict=True))
        ]

    def _input(self, features: Tensor, index: int) -> Tensor:
        if self.projections is None:
            return features[:, : self.widths[index]]
        projected: Tensor = self.projections[index](features)
        return projected


def rename_released_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a released head to those of a `MatryoshkaHead`.

    Understands Franca's `MRLDINOHead` (mode `project`, normalization `franca_release`) and DINOv2's
    `DINOHead` (one level).

    Args:
        state: without the prefix `dino_head.` or `ibot_head.`.
    """
    rules = {
        r"^matryoshka_projections\.(\d+)\.": r"projections.\1.",
        r"^mlps\.(\d+)\.": r"levels.\1.mlp.",
        r"^last_layers\.(\d+)\.": r"levels.\1.last_layer.",
        r"^(mlp|last_layer)\.": r"levels.0.\1.",
    }
    renamed = dict(state)
    for pattern, replacement in rules.items():
        renamed = {re.sub(pattern, replacement, name): value for name, value in renamed.items()}
    return renamed
