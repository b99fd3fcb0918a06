"""What patch tokens are to tell nothing about: any number per patch, scaled to [0, 1].

Position is one choice. The others show that nothing else in this package knows about position.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from franca.rasa.views import View

Grid = tuple[int, int]
TargetName = Literal[
    "linear", "fourier", "brightness", "sharpness", "border_distance", "crop_scale"
]
Target = Callable[[View, Grid], Tensor]
"""Numbers of every patch of a view, row by row: (view, grid) -> [patches, targets] in [0, 1]."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL's "L"


def build_target(name: TargetName, *, fourier_order: int | None) -> Target:
    """Look a target up by name.

    Raises:
        ValueError: an unknown name, or `fourier` without its order.
    """
    if name == "fourier":
        if fourier_order is None:
            raise ValueError("target fourier needs an order: set rasa.fourier_order, e.g. to 3")
        return partial(_fourier_of_view, order=fourier_order)
    if name not in _TARGETS:
        raise ValueError(f"no target {name!r}: choose one of {', '.join(get_args(TargetName))}")
    return _TARGETS[name]


def position(grid: Grid) -> Float[Tensor, "patches 2"]:
    """Return (row / (height - 1), column / (width - 1)) of every patch.

    Raises:
        ValueError: a grid with a single row or column, along which nothing varies.
    """
    if min(grid) < 2:
        raise ValueError(
            f"a grid of {grid[0]}x{grid[1]} patches has no position along its short side: "
            "use larger images (finetune_highres)"
        )
    rows, columns = (torch.arange(side) / (side - 1) for side in grid)
    return torch.cartesian_prod(rows, columns)


def fourier(grid: Grid, *, order: int) -> Float[Tensor, "patches targets"]:
    """Return the (order + 1)^2 - 1 spatial patterns of up to `order` half-waves a side.

    Products of 1, x, cos(2 pi x), ... cos(order pi x) of the row and of the column. The straight
    line stands in for cos(pi x), so that order 1 and above contain `position` exactly.

    Raises:
        ValueError: an order that the grid cannot tell apart.
    """
    if not 1 <= order < min(grid):
        raise ValueError(
            f"fourier order {order} on a grid of {grid[0]}x{grid[1]} patches: "
            f"set rasa.fourier_order between 1 and {min(grid) - 1}"
        )
    rows, columns = (_waves(side, order=order) for side in grid)
    products = torch.einsum("ri,cj->rcij", rows, columns).flatten(2).flatten(0, 1)
    return (1 + products[:, 1:]) / 2


def brightness(view: View, grid: Grid) -> Float[Tensor, "patches 1"]:
    """Return the mean luma of every patch."""
    return _pool(_luma(view), grid)


def sharpness(view: View, grid: Grid) -> Float[Tensor, "patches 1"]:
    """Return the root of the mean absolute Laplacian of luma: low where a patch is blurred.

    The root spreads the many small values; 4 is the largest Laplacian of values in [0, 1].
    """
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    padded = F.pad(_luma(view), (1, 1, 1, 1), mode="replicate")
    laplacian = F.conv2d(padded, kernel[None, None])
    return (_pool(laplacian.abs(), grid) / 4).sqrt()


def border_distance(grid: Grid) -> Float[Tensor, "patches 1"]:
    """Return the distance to the nearest border: 0 in the outermost patches, 1 in the middle."""
    places = position(grid)
    return 2 * torch.minimum(places, 1 - places).amin(dim=1, keepdim=True)


def crop_scale(view: View, grid: Grid) -> Float[Tensor, "patches 1"]:
    """Return the share of the image that the view shows, the same for all its patches."""
    return torch.full((grid[0] * grid[1], 1), view.scale)


def _fourier_of_view(view: View, grid: Grid, *, order: int) -> Tensor:  # noqa: ARG001
    return fourier(grid, order=order)


_TARGETS: dict[str, Target] = {
    "linear": lambda _, grid: position(grid),
    "brightness": brightness,
    "sharpness": sharpness,
    "border_distance": lambda _, grid: border_distance(grid),
    "crop_scale": crop_scale,
}


def _waves(side: int, *, order: int) -> Float[Tensor, "side waves"]:
    x = torch.arange(side) / (side - 1)
    cosines = [torch.cos(torch.pi * wave * x) for wave in range(2, order + 1)]
    return torch.stack([torch.ones(side), 2 * x - 1, *cosines], dim=1)


def _luma(view: View) -> Float[Tensor, "1 1 height width"]:
    weights = torch.tensor(_LUMA)
    return (weights[:, None, None] * view.image).sum(0)[None, None]


def _pool(values: Float[Tensor, "1 1 height width"], grid: Grid) -> Float[Tensor, "patches 1"]:
    return F.adaptive_avg_pool2d(values, grid).reshape(-1, 1)
