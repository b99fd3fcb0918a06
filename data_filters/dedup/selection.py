"""Which image of a group stays: the best by an order of the images, never the first seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_filters.dedup.digests import Digests

Indices = npt.NDArray[np.int64]


class Quality(NamedTuple):
    """What images are ranked by, best first; each array has one entry per image.

    Attributes:
        area: Pixels; more is better.
        size: Bytes; more is better, at equal area: less was lost.
        sha256: Settles ties without looking at order; smaller wins.
        row_id: Settles ties between equal bytes.
    """

    area: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    sha256: Digests
    row_id: Digests

    def ranks(self) -> Indices:
        """Rank every image; 0 is the best."""
        order = np.lexsort((self.row_id, self.sha256, -self.size, -self.area))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


def best_of_groups(groups: Indices, ranks: Indices) -> Indices:
    """Return for each image the best one of its group."""
    best = np.full(len(groups), len(groups), np.int64)
    np.minimum.at(best, groups, ranks)
    by_rank = np.argsort(ranks)
    return by_rank[best[groups]]


class Dropped(NamedTuple):
    """Images dropped by one criterion, and the image that stays in place of each."""

    images: Indices
    kept: Indices


def select(levels: Sequence[Indices], ranks: Indices) -> list[Dropped]:
    """Drop all but the best of each group, criterion by criterion.

    Args:
        levels: For each criterion, from the strictest on, the group of each image. Groups of a
            later criterion contain those of an earlier one.
        ranks: Of each image, best first.

    Returns:
        For each criterion what it drops among what the criteria before it left.
    """
    left = np.ones(len(ranks), bool)
    dropped = []
    for groups in levels:
        best = best_of_groups(groups, ranks)
        images = np.flatnonzero(left & (best != np.arange(len(ranks))))
        left[images] = False
        dropped.append(Dropped(images, best[images]))
    return dropped
