"""Whether what was written gives the features of the backbone, measured on the written files."""

from dataclasses import dataclass

import torch
from torch import Tensor

from franca.api import Backbone
from franca.export.format import Reader
from franca.randomness import generator

TOLERANCE = 1e-4
"""Of the largest feature. Another order of fp32 sums makes 1.3e-6 of it in 12 blocks (ViT-B, ONNX)
and 0.9e-6 in 24 (ViT-L, transformers); another law of positions 1e-2."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two forward passes are apart on images of one size.

    Attributes:
        size: (height, width) of the images in pixels.
        largest: largest absolute difference of a feature, over CLS and patches.
        scale: largest absolute feature of the backbone.
    """

    size: tuple[int, int]
    largest: float
    scale: float

    @property
    def tolerated(self) -> bool:
        """Whether the difference is that of rounding; never for features that are not numbers."""
        return self.largest <= TOLERANCE * self.scale

    def __str__(self) -> str:
        height, width = self.size
        return (
            f"max difference {self.largest:.1e} at {height}x{width} pixels "
            f"(tolerance {TOLERANCE * self.scale:.1e}, largest feature {self.scale:.3g})"
        )


def probe_sizes(backbone: Backbone) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the native size and one that has another grid in both directions, in pixels."""
    patch = backbone.patch_size
    native = backbone.metadata["model"]["image_size"]
    return (native, native), (native + 2 * patch, max(native - 3 * patch, patch))


@torch.no_grad()
def measure(backbone: Backbone, read: Reader, *, size: tuple[int, int], batch: int) -> Difference:
    """Compare on images of noise, the same ones every time."""
    images = torch.randn(batch, 3, *size, generator=generator(0, "export", *size))
    wanted = backbone.forward_features(images)
    given = read(images)
    return Difference(
        size=size,
        largest=_largest(wanted.cls - given[0], wanted.patches - given[1]),
        scale=_largest(wanted.cls, wanted.patches),
    )


def _largest(*tensors: Tensor) -> float:
    """Return the largest absolute value; NaN if there is one, which Python's max would lose."""
    return torch.cat([tensor.flatten() for tensor in tensors]).abs().max().item()
