"""The interpolation of positions as two matrix products, for graphs whose grid is not known yet.

`torch.nn.functional.interpolate` would be traced for one grid, or with sampling points that other
runtimes compute differently. Bicubic interpolation is separable and linear in the learnt grid P, so
that it equals R P C', with one matrix per axis (`down`, `across`) built from the size alone.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from franca.models.pos_embed import OFFSET, Interpolation

_CUBIC = {"franca": -0.75, "antialias": -0.5}  # torch's bicubic; with antialiasing, that of Pillow


def resize_by_matrices(
    pos_embed: Float[Tensor, "1 positions dim"],
    *,
    grid: tuple[int, int],
    interpolation: Interpolation,
) -> Float[Tensor, "1 resized dim"]:
    """Do what `franca.models.pos_embed.resize_pos_embed` does, for sizes that may be symbols.

    Args:
        pos_embed: the position of CLS, then a square grid of patches, row by row.
        grid: (rows, columns) wanted.
        interpolation: the law.
    """
    side = math.isqrt(pos_embed.shape[1] - 1)
    rows, columns = (torch.arange(size, device=pos_embed.device) for size in grid)
    if interpolation == "franca":
        down, across = _offset(rows, side), _offset(columns, side)
        # The offset moves every sampling point even at the learnt grid, which is to stay as it is.
        native = (_count(rows) == side) & (_count(columns) == side)
        down = torch.where(native, _identity(rows, side), down)
        across = torch.where(native, _identity(columns, side), across)
    else:
        down, across = _antialias(rows, side), _antialias(columns, side)
    cls, patches = pos_embed.float().split([1, side * side], dim=1)
    patches = torch.einsum("ri,ijd,cj->rcd", down, patches.view(side, side, -1), across)
    return torch.cat([cls, patches.flatten(0, 1)[None]], dim=1).to(pos_embed.dtype)


def _count(index: Int[Tensor, " size"]) -> Float[Tensor, ""]:
    """Return the size as a tensor, so that the graph keeps it open."""
    return torch.ones_like(index, dtype=torch.float32).sum()


def _identity(index: Int[Tensor, " size"], side: int) -> Float[Tensor, "size side"]:
    return (index[:, None] == torch.arange(side, device=index.device)).float()


def _offset(index: Int[Tensor, " size"], side: int) -> Float[Tensor, "size side"]:
    """Weights of sampling at (i + 1/2) side / (size + 0.1) - 1/2; borders are repeated."""
    source = (index + 0.5) * side / (_count(index) + OFFSET) - 0.5
    learnt = torch.arange(side, device=index.device)
    weights = torch.zeros(1, device=index.device)
    for tap in range(-1, 3):
        place = source.floor() + tap
        column = place.clamp(0, side - 1)[:, None] == learnt
        weights = weights + column * _cubic(source - place, a=_CUBIC["franca"])[:, None]
    return weights


def _antialias(index: Int[Tensor, " size"], side: int) -> Float[Tensor, "size side"]:
    """Weights of a kernel as wide as the step, if that is above one; they add up to one."""
    step = side / _count(index)
    distance = (index[:, None] + 0.5) * step - 0.5 - torch.arange(side, device=index.device)
    weights = _cubic(distance / step.clamp(min=1), a=_CUBIC["antialias"])
    return weights / weights.sum(dim=1, keepdim=True)


def _cubic(x: Float[Tensor, "*shape"], *, a: float) -> Float[Tensor, "*shape"]:
    """Keys' cubic convolution kernel (https://doi.org/10.1109/TASSP.1981.1163711)."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
