"""Dense targets: masks at the input size, depth and normals averaged over patches."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.masked import SegmentationImages


@dataclass(frozen=True)
class DenseTargets:
    """Targets of one split; see `franca.eval.benchmark.DenseFeatures` for the fields."""

    masks: UInt8[Tensor, "images height width"]
    depth: Float[Tensor, "images patches"] | None
    normals: Float[Tensor, "images patches 3"] | None


def load_targets(
    images: SegmentationImages, *, side: int, grid: tuple[int, int], ignore_index: int
) -> DenseTargets:
    """Read masks and, where the set has it, geometry.

    Args:
        images: the split.
        side: input size in pixels; masks are resized to it (nearest).
        grid: rows and columns of patches.
        ignore_index: the class of void pixels.

    Raises:
        ValueError: every pixel of the split is void, so no score is defined.
    """
    masks = np.stack([images.mask(index, side=side) for index in range(len(images))])
    if np.all(masks == ignore_index):
        raise ValueError(f"every pixel of {len(images)} masks is void ({ignore_index})")
    depth = normals = None
    if images.has_depth:
        maps = (images.depth(index) for index in range(len(images)))
        depth = torch.from_numpy(np.stack([patch_depth(one, grid=grid) for one in maps]))
    if images.has_normals:
        maps = (images.normals(index) for index in range(len(images)))
        normals = torch.from_numpy(np.stack([patch_normals(one, grid=grid) for one in maps]))
    return DenseTargets(masks=torch.from_numpy(masks), depth=depth, normals=normals)


def patch_depth(
    depth: Float[np.ndarray, "height width"], *, grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Average the valid (finite, positive) depths of each patch.

    Returns:
        [patches] metres, NaN where a patch holds no valid pixel.
    """
    valid = np.isfinite(depth) & (depth > 0)
    return _patch_mean(np.where(valid, depth, 0.0)[..., None], valid, grid=grid)[:, 0]


def patch_normals(
    normals: Float[np.ndarray, "height width 3"], *, grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Average the valid (finite, non-zero) normals of each patch and normalise.

    Returns:
        [patches, 3] unit vectors, NaN where a patch holds no valid pixel or its normals cancel.
    """
    valid = np.isfinite(normals).all(-1)
    valid &= np.linalg.norm(np.where(valid[..., None], normals, 0.0), axis=-1) > 1e-6
    averages = _patch_mean(np.where(valid[..., None], normals, 0.0), valid, grid=grid)
    length = np.linalg.norm(averages, axis=-1, keepdims=True)
    undefined = np.full_like(averages, np.nan)
    unit: NDArray[np.float32] = np.divide(averages, length, out=undefined, where=length > 1e-6)
    return unit


def _patch_mean(
    values: NDArray[np.float32], valid: NDArray[np.bool_], *, grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Average [height, width, channels] over the patches of a grid that need not divide it."""
    height, width, channels = values.shape
    rows = np.arange(height) * grid[0] // height
    columns = np.arange(width) * grid[1] // width
    patch = (rows[:, None] * grid[1] + columns)[valid]
    cells = grid[0] * grid[1]
    counts = np.bincount(patch, minlength=cells)
    sums = [np.bincount(patch, values[valid][:, c], minlength=cells) for c in range(channels)]
    stacked = np.stack(sums, axis=-1)
    average = np.full(stacked.shape, np.nan, dtype=np.float32)
    occupied = counts > 0
    average[occupied] = stacked[occupied] / counts[occupied, None]
    return average
