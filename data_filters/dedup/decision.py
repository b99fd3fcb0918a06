"""Which images stay: verdicts on all of them at once, each naming the image it was dropped for."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from data_filters.dedup.leakage import REASONS, Leaks
from data_filters.dedup.selection import Dropped, select

Indices = npt.NDArray[np.int64]

LEAK, DUPLICATE = "evaluation_sets", "duplicates"
LINKED: Final = "copy_of_leak"
"""Reason of an image that matches no evaluation image itself, but a training image that does."""


class Decision(NamedTuple):
    """Verdicts on all images, one entry each; None where an image is kept.

    Attributes:
        filter: `DUPLICATE` or `LEAK`.
        reason: One of `leakage.REASONS`, or `LINKED`.
        detail: The row id of the image that stays instead, or the evaluation image.
    """

    filter: npt.NDArray[np.object_]
    reason: npt.NDArray[np.object_]
    detail: npt.NDArray[np.object_]

    @classmethod
    def keep_all(cls, size: int) -> Self:
        """Begin with nothing dropped."""
        return cls(*(np.full(size, None, np.object_) for _ in range(3)))

    def left(self) -> Indices:
        """The images that are still kept, ascending."""
        return np.flatnonzero(self.filter == None)  # noqa: E711  elementwise

    def drop_copies(
        self, levels: Mapping[str, Indices], ranks: Indices, row_ids: npt.NDArray[np.str_]
    ) -> None:
        """Keep the best of each group, criterion by criterion.

        Args:
            levels: What `group_copies` returned.
            ranks: Of each image, best first.
            row_ids: Names of the images.
        """
        for reason, dropped in zip(levels, select(list(levels.values()), ranks), strict=True):
            self.drop(dropped, reason, row_ids)

    def drop(self, dropped: Dropped, reason: str, row_ids: npt.NDArray[np.str_]) -> None:
        """Drop duplicates, each for the sake of another image."""
        self._set(dropped.images, DUPLICATE, reason, row_ids[dropped.kept])

    def drop_leaks(
        self,
        leaks: Leaks,
        groups: Indices,
        *,
        row_ids: npt.NDArray[np.str_],
        places: Sequence[str],
    ) -> None:
        """Drop every leak with its whole group: the other members are its copies.

        Args:
            leaks: What `find_leaks` returned.
            groups: The loosest level of `group_copies`.
            row_ids: Names of the images.
            places: Names of the evaluation images.
        """
        leaked = np.full(len(groups), len(groups), np.int64)
        np.minimum.at(leaked, groups[leaks.images], leaks.images)
        linked = np.flatnonzero(leaked[groups] < len(groups))
        self._set(linked, LEAK, LINKED, row_ids[leaked[groups[linked]]])
        for image, reason, match in zip(*leaks, strict=True):
            self.filter[image], self.reason[image] = LEAK, REASONS[reason]
            self.detail[image] = places[match]

    def _set(self, members: Indices, name: str, reason: str, details: npt.NDArray[np.str_]) -> None:
        self.filter[members], self.reason[members] = name, reason
        self.detail[members] = details
