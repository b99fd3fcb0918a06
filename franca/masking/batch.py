"""Masks of a batch: which global crops are masked, and how much of each."""

from collections.abc import Callable, Sequence
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
    """Masks of the global crops of a batch.

    Args:
        masks: True where a patch is masked; rows in the order of the crops.
        indices: of the masked patches in the flattened masks, ascending.
        token_weights: 1 / number of masked patches of the crop, for each of `indices`, so that the
            weights of every masked crop sum to 1.
        rows: for each crop how many rows the teacher balances: as many as patches are masked, or
            more, which are zeros then; see `sample_masks`.
    """

    masks: Bool[Tensor, "crops patches"]
    indices: Int[Tensor, " masked"]
    token_weights: Float[Tensor, " masked"]
    rows: Int[Tensor, " crops"]

    @property
    def num_surplus(self) -> int:
        """Rows that are balanced beyond those of masked patches."""
        return int(self.rows.sum()) - len(self.indices)

    def of_images(self, images: range, *, num_images: int) -> "BatchMasks":
        """Return the masks of some of the images, whose crops lie view by view."""
        masks, rows = (
            of_crops.unflatten(0, (-1, num_images))[:, images.start : images.stop].flatten(0, 1)
            for of_crops in (self.masks, self.rows)
        )
        return index_masks(masks, rows=rows)


def index_masks(
    masks: Bool[Tensor, "crops patches"], *, rows: Int[Tensor, " crops"] | None = None
) -> BatchMasks:
    """List the masked patches of given masks, with their weights.

    Args:
        masks: True where a patch is masked.
        rows: see `BatchMasks`; None means as many as are masked.
    """
    indices = masks.flatten().nonzero()[:, 0]
    counts = masks.sum(dim=1)
    return BatchMasks(
        masks=masks,
        indices=indices,
        token_weights=1 / counts[indices // masks.shape[1]],
        rows=counts if rows is None else rows,
    )


def join_groups(groups: Sequence[BatchMasks]) -> BatchMasks:
    """Return the masks of a batch of equally large groups; crops lie view by view in each."""
    if len(groups) == 1:
        return groups[0]
    masks, rows = (
        torch.stack([of_crops.unflatten(0, (2, -1)) for of_crops in parts], dim=1).flatten(0, 2)
        for parts in ([group.masks for group in groups], [group.rows for group in groups])
    )
    return index_masks(masks, rows=rows)


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
    padded: bool = False,
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
        padded: whether the teacher balances as many rows as could have been masked at most, zeros
            in those that were not, as the released code, whose buffers have that many.
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
    rows = np.zeros(num_crops, dtype=np.int64)
    rows[masked_crops] = bounds[:, 1]
    return index_masks(torch.from_numpy(masks), rows=torch.from_numpy(rows) if padded else None)


def _ratio_edges(num_masked: int, ratio: tuple[float, float]) -> Float[np.ndarray, " edges"]:
    # In fp32, as the released code: at some edges a count depends on it.
    edges: Float[np.ndarray, " edges"] = torch.linspace(*ratio, num_masked + 1).numpy()
    return edges
