"""Coloured points seen by a camera: splats with a soft depth test, after Zwicker et al. (2001).

Not the alpha compositing of 3D Gaussian splatting: points here are opaque surface samples, so what
lies a margin behind the nearest of a pixel is hidden, and what is left is averaged. No gradient is
needed, and it is exact on a CPU.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from franca.eval.cameras import project

_REACH = 2  # pixels around its own that a splat touches
_LEAST = 0.1  # weight below which a splat covers no pixel
_SMALLEST, _LARGEST = 0.3, 1.0  # standard deviation of a splat, pixels


class Picture(NamedTuple):
    """What a camera sees of splats; black where nothing is."""

    pixels: Float[Tensor, "3 height width"]
    covered: Bool[Tensor, "height width"]


def splat(
    points: Float[Tensor, "points 3"],
    colors: Float[Tensor, "points 3"],
    sizes: Float[Tensor, " points"],
    intrinsics: Float[Tensor, "3 3"],
    *,
    size: tuple[int, int],
    margin: float,
) -> Picture:
    """Draw points as isotropic Gaussians.

        for each pixel, over the points within two pixels of it whose Gaussian exceeds 0.1 there:
            nearest = smallest depth
            color = mean of the colors no deeper than nearest + margin, weighted by the Gaussians

    Args:
        points: in the camera's frame, metres; what is not in front of it is left out.
        colors: of each point.
        sizes: standard deviation of each point's Gaussian, metres.
        intrinsics: of the camera.
        size: height and width in pixels.
        margin: metres.
    """
    height, width = size
    ahead = points[:, 2] > 1e-3
    points, colors, sizes = points[ahead], colors[ahead], sizes[ahead]
    places, depth = project(points, intrinsics), points[:, 2]
    spread = (sizes * intrinsics[0, 0] / depth).clamp(_SMALLEST, _LARGEST)
    steps = torch.arange(-_REACH, _REACH + 1)
    offsets = torch.cartesian_prod(steps, steps)
    # A place far outside overflows an integer; nothing beyond the border matters.
    corner = places.clamp(-2 * _REACH, 2 * _REACH + max(size)).floor()
    pixels = corner[:, None].long() + offsets
    distances = (pixels + 0.5 - places[:, None]).square().sum(2)
    weights = (-distances / (2 * spread[:, None].square())).exp()
    inside = (pixels >= 0).all(2) & (pixels < torch.tensor([width, height])).all(2)
    point, touched = (inside & (weights > _LEAST)).nonzero(as_tuple=True)
    pixel = pixels[point, touched, 1] * width + pixels[point, touched, 0]
    nearest = torch.full((height * width,), torch.inf)
    nearest.scatter_reduce_(0, pixel, depth[point], "amin")
    seen = depth[point] <= nearest[pixel] + margin
    pixel, point, weight = pixel[seen], point[seen], weights[point, touched][seen]
    total = torch.zeros(height * width).index_add_(0, pixel, weight)
    drawn = torch.zeros(height * width, 3).index_add_(0, pixel, weight[:, None] * colors[point])
    image = (drawn / total.clamp_min(_LEAST)[:, None]).T.unflatten(1, size)
    return Picture(pixels=image, covered=nearest.isfinite().view(size))
