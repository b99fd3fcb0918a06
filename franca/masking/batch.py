"""Masks of a batch: which global crops are masked, and how much of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Counts = Literal["uniform", "upper"]
Masker = Callable[..., Bool[np.ndarray, "masks height width"]]
"""`CyclicMask` or `BlockMask`."""


@dataclass(frozen=True)
class BatchMasks:
    """Masks of the global crops of a batch; nothing is padded.

    Args:
        masks: True where a patch is masked; rows in the order of the crops.
        indices: of the masked patches in the flattened masks, ascending.
        token_weights: 1 / number of masked patches of the crop, for each of `indices`, so that the
            weights of every masked crop sum to 1.
    """

    masks: Bool[Tensor, "crops patches"]
    indices: Int[Tensor, " masked"]
    token_weights: Float[Tensor, " masked"]

    def of_images(self, images: range, *, num_images: int) -> "BatchMasks":
        """Return the masks of some of the images, whose crops lie view by view."""
        views = self.masks.unflatten(0, (-1, num_images))
        return index_masks(views[:, images.start : images.stop].flatten(0, 1))


def index_masks(masks: Bool[Tensor, "crops patches"]) -> BatchMasks:
    """List the masked patches of given masks, with their weights."""
    indices = masks.flatten().nonzero()[:, 0]
    counts = masks.sum(dim=1)
    return BatchMasks(
        masks=masks, indices=indices, token_weights=1 / counts[indices // masks.shape[1]]
    )


def count_bounds(
    *, num_crops: int, num_patches: int, probability: float, ratio: tuple[float, float]
) -> Int[np.ndarray, "masked_crops 2"]:
    """Return the least and the largest number of masked patches of each masked crop.

    The range of ratios is cut into as many equal parts as crops are masked, so that every batch has
    the whole range. The sum of the second column bounds the masked patches of a batch.

    Args:
        num_crops: global crops of the batch, two per image.
        num_patches: patches of a crop.
        probability: share of the crops that are masked, rounded down.
        ratio: least and largest share of masked patches.
    """
    edges = _ratio_edges(int(num_crops * probability), ratio)
    bounds: Int[np.ndarray, "masked_crops 2"]
    bounds = np.floor(num_patches * np.stack([edges[:-1], edges[1:]], axis=1)).astype(np.int64)
    return bounds


def sample_masks(
    masker: Masker,
    *,
    num_crops: int,
    num_patches: int,
    probability: float,
    ratio: tuple[float, float],
    generator: np.random.Generator,
    counts: Counts = "uniform",
) -> BatchMasks:
    """Draw the masks of a batch.

    Args:
        masker: draws masks of given counts.
        num_crops: see `count_bounds`, as the next three.
        num_patches: patches of a crop.
        probability: share of the crops that are masked.
        ratio: least and largest share of masked patches.
        generator: source of everything random here.
        counts: `uniform` draws each crop's share within its part of the range, as DINOv2 and
            Franca; `upper` takes the upper end, as DINOv3: every batch then has as many masked
            patches, which compiled code likes.
    """
    bounds = count_bounds(
        num_crops=num_crops, num_patches=num_patches, probability=probability, ratio=ratio
    )
    if counts == "upper":
        wanted = bounds[:, 1]
    else:
        edges = _ratio_edges(len(bounds), ratio)
        wanted = np.floor(num_patches * generator.uniform(edges[:-1], edges[1:])).astype(np.int64)
    masks = np.zeros((num_crops, num_patches), dtype=bool)
    # Any crop of the batch may be masked: the two views of an image independently of each other.
    masked_crops = generator.permutation(num_crops)[: len(wanted)]
    masks[masked_crops] = masker(wanted, generator=generator).reshape(len(wanted), num_patches)
    return index_masks(torch.from_numpy(masks))


def _ratio_edges(num_masked: int, ratio: tuple[float, float]) -> Float[np.ndarray, " edges"]:
    # In fp32, as the released code: at some edges a count depends on it.
    edges: Float[np.ndarray, " edges"] = torch.linspace(*ratio, num_masked + 1).numpy()
    return edges
