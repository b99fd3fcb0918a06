"""What a stack of Matryoshka heads costs, by arithmetic; `franca.models.cost` says what counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from franca.heads.levels import level_prototypes, level_widths

_FP32, _BF16 = 4, 2  # bytes


@dataclass(frozen=True, kw_only=True)
class HeadStack:
    """Sizes of a `franca.heads.matryoshka.MatryoshkaHead`, whose arguments these are."""

    dim: int
    levels: Sequence[float]
    num_prototypes: int
    hidden_dim: int
    bottleneck_dim: int
    num_layers: int
    mode: Literal["slice", "project"]
    batch_norm: bool

    @property
    def widths(self) -> list[int]:
        """Features of each level."""
        return level_widths(self.levels, dim=self.dim)

    @property
    def prototypes(self) -> int:
        """Prototypes of all levels: logits per row."""
        counts = level_prototypes(self.levels, dim=self.dim, num_prototypes=self.num_prototypes)
        return sum(counts)

    @property
    def prototype_parameters(self) -> int:
        """Directions of the prototypes and their lengths."""
        return self.prototypes * (self.bottleneck_dim + 1)

    @property
    def parameters(self) -> int:
        """Parameters of the stack."""
        outputs = len(self.widths) * (self.hidden_dim * (self.num_layers - 1) + self.bottleneck_dim)
        norms = 2 * len(self.widths) * self.hidden_dim * (self.num_layers - 1)
        projection_biases = sum(self.widths) if self.mode == "project" else 0
        biases = outputs + projection_biases
        return (
            self._products + biases + (norms if self.batch_norm else 0) + self.prototype_parameters
        )

    @property
    def flops(self) -> int:
        """Operations per row, forward, the products with the prototypes included."""
        return 2 * (self._products + self.prototypes * self.bottleneck_dim)

    def kept_bytes_per_row(self, *, precision: Literal["fp32", "bf16"]) -> int:
        """Bytes kept for the backward pass per row: the feature, hidden layers, the embedding.

        Logits are not: the loss makes them a few rows at a time, see `franca.losses.cross_entropy`.

        Args:
            precision: of the MLPs; embeddings are normalised in fp32.
        """
        size = _BF16 if precision == "bf16" else _FP32
        hidden = 2 * self.hidden_dim * (self.num_layers - 1)
        return size * self.dim + len(self.widths) * (size * hidden + _FP32 * self.bottleneck_dim)

    @property
    def _products(self) -> int:
        """Multiply-adds up to the bottleneck, per row, which are also weights."""
        hidden = [self.hidden_dim] * (self.num_layers - 1)
        mlps = [
            sum(a * b for a, b in pairwise([width, *hidden, self.bottleneck_dim]))
            for width in self.widths
        ]
        projections = self.dim * sum(self.widths) if self.mode == "project" else 0
        return sum(mlps) + projections
