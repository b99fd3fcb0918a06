"""Position embeddings: bring the learnt grid to the grid of an image.

Two laws, equal at the learnt grid and different elsewhere; weights must be evaluated with the law
they were trained with.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

Interpolation = Literal["franca", "antialias"]

# DINO, DINOv2 and Franca add 0.1 to the target side before dividing, so that rounding never loses a
# row (https://github.com/facebookresearch/dino/issues/8). It also shifts every sampling point.
OFFSET = 0.1


def resize_pos_embed(
    pos_embed: Float[Tensor, "1 positions dim"],
    *,
    grid: tuple[int, int],
    interpolation: Interpolation,
) -> Float[Tensor, "1 resized dim"]:
    """Interpolate the patch positions bicubically, in fp32; the position of CLS stays.

    Args:
        pos_embed: the position of CLS, then a square grid of patches, row by row.
        grid: (rows, columns) wanted.
        interpolation: `franca` scales by (side + 0.1) / learnt side without antialiasing, as the
            released Franca and DINOv2 models; `antialias` gives the exact size with antialiasing,
            as timm and DINOv2 with registers.
    """
    side = math.isqrt(pos_embed.shape[1] - 1)
    if grid == (side, side):
        return pos_embed
    cls, patches = pos_embed.float().split([1, side * side], dim=1)
    patches = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    if interpolation == "franca":
        scale = ((grid[0] + OFFSET) / side, (grid[1] + OFFSET) / side)
        patches = interpolate(patches, scale_factor=scale, mode="bicubic")
    else:
        patches = interpolate(patches, size=grid, mode="bicubic", antialias=True)
    assert patches.shape[-2:] == grid, f"interpolated to {patches.shape[-2:]}, wanted {grid}"
    return torch.cat([cls, patches.flatten(2).transpose(1, 2)], dim=1).to(pos_embed.dtype)
