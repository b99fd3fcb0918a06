"""Heads that read a map off the tokens of four blocks: linear, and the DPT of Probe3D.

The DPT follows mbanani/probe3d@a1f1464: no transposed convolutions, every layer on one grid.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from franca.randomness import generator

HeadName = Literal["linear", "dpt"]
Layers = Float[Tensor, "images layers channels rows columns"]
_BIN_MARGIN = 0.1  # no bin has probability 0 (AdaBins)


class LinearHead(nn.Module):
    """A linear map of all layers' tokens, upsampled four times (bilinear).

    Probe3D upsamples first and maps then, which is the same: a map of each place alone commutes
    with a weighted mean of places.
    """

    repeats = 1

    def __init__(self, *, layers: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(layers * channels, outputs, 1)

    def forward(self, tokens: Layers) -> Float[Tensor, "images outputs 4*rows 4*columns"]:
        """Return a map four times as fine as the patches."""
        coarse = self.read(tokens.flatten(1, 2))
        return interpolate(coarse, scale_factor=4, mode="bilinear")


class _Residual(nn.Module):
    """Two convolutions, each followed by a ReLU, around which the input passes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + relu(self.second(relu(self.first(x))))


class DptHead(nn.Module):
    """Fuse the layers from the last to the first, and refine.

        x = residual(project(last layer)), at twice the patches' resolution
        for each earlier layer, from late to early:
            x = residual(x + residual(project(layer)))
        result = convolution(x at 8 times), ReLU, convolution; all upsampling is nearest

    The reference then repeats every value twice along both axes. Here what reads the map does so,
    after all that it does place by place: the same, for a quarter of the work.
    """

    repeats = 2

    def __init__(self, *, layers: int, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(channels, width, 1) for _ in range(layers))
        self.skip = nn.ModuleList(_Residual(width) for _ in range(layers - 1))
        self.fuse = nn.ModuleList(_Residual(width) for _ in range(layers))
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.read = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, tokens: Layers) -> Float[Tensor, "images outputs 8*rows 8*columns"]:
        """Return a map eight times as fine as the patches."""
        projected = [
            interpolate(project(layer), scale_factor=2)
            for project, layer in zip(self.project, tokens.unbind(1), strict=True)
        ]
        x = self.fuse[-1](projected[-1])
        for number in reversed(range(len(self.skip))):
            x = self.fuse[number](x + self.skip[number](projected[number]))
        x = relu(self.refine(interpolate(x, scale_factor=4)))
        found: Tensor = self.read(x)
        return found


def make_head(
    name: HeadName, *, layers: int, channels: int, outputs: int, width: int, seed: int
) -> LinearHead | DptHead:
    """Build a head whose weights depend on the seed alone.

    Every convolution is drawn as torch does by default: uniform within 1 / sqrt(inputs).
    """
    head: LinearHead | DptHead = (
        LinearHead(layers=layers, channels=channels, outputs=outputs)
        if name == "linear"
        else DptHead(layers=layers, channels=channels, outputs=outputs, width=width)
    )
    source = generator(seed, f"evaluate/dense_heads/{name}")
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=source)
    return head


def resize(
    maps: Float[Tensor, "images channels rows columns"],
    size: Sequence[int],
    *,
    repeats: int,
    mode: Literal["bilinear", "bicubic"],
) -> Float[Tensor, "images channels height width"]:
    """Repeat every value along both axes as the head asks for, then resize to the truth's size."""
    return interpolate(interpolate(maps, scale_factor=repeats), tuple(size), mode=mode)


def expected_depth(
    scores: Float[Tensor, "images bins height width"], *, nearest: float, farthest: float
) -> Float[Tensor, "images height width"]:
    """Return the mean depth of evenly spaced bins, weighted by positive scores (AdaBins).

        p[bin] = (max(score[bin], 0) + 0.1) / their sum over bins
        depth = sum(p[bin] * depth[bin])

    Args:
        scores: of each bin.
        nearest: depth of the first bin, metres.
        farthest: depth of the last bin, metres.
    """
    bins = torch.linspace(nearest, farthest, scores.shape[1], device=scores.device)
    positive = relu(scores) + _BIN_MARGIN
    return torch.einsum("nbhw,b->nhw", positive, bins) / positive.sum(1)
