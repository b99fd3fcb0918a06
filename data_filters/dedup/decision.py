"""Which images stay: verdicts on all of them at once, each naming the image it was dropped for."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.dedup.digests import Digests, to_texts
from data_filters.dedup.leakage import REASONS, Leaks
from data_filters.dedup.selection import Dropped, select

Indices = npt.NDArray[np.int64]

LEAK, DUPLICATE = "evaluation_sets", "duplicates"
LINKED: Final = "copy_of_leak"
"""Reason of an image that matches no evaluation image itself, but a training image that does."""

GROUNDS: Final = (
    *((DUPLICATE, reason) for reason in REASONS),
    (LEAK, LINKED),
    *((LEAK, reason) for reason in REASONS),
)
"""Filter and reason of a dropped image, by number."""

KEPT: Final = -1
_FIRST_LEAK: Final = len(REASONS) + 1
"""Grounds from here on name an evaluation image, the others an image of the training data."""


class Decision(NamedTuple):
    """Verdicts on all images, nine bytes each.

    Attributes:
        grounds: Index into `GROUNDS`, or `KEPT`.
        match: The image that stays instead, or the evaluation image.
    """

    grounds: npt.NDArray[np.int8]
    match: Indices

    @classmethod
    def keep_all(cls, size: int) -> Self:
        """Begin with nothing dropped."""
        return cls(np.full(size, KEPT, np.int8), np.full(size, KEPT, np.int64))

    def left(self) -> Indices:
        """The images that are still kept, ascending."""
        return np.flatnonzero(self.grounds == KEPT)

    def drop_copies(self, levels: Mapping[str, Indices], ranks: Indices) -> None:
        """Keep the best of each group, criterion by criterion.

        Args:
            levels: What `group_copies` returned.
            ranks: Of each image, best first.
        """
        for reason, dropped in zip(levels, select(list(levels.values()), ranks), strict=True):
            self.drop(dropped, reason)

    def drop(self, dropped: Dropped, reason: str) -> None:
        """Drop duplicates, each for the sake of another image."""
        self.grounds[dropped.images] = GROUNDS.index((DUPLICATE, reason))
        self.match[dropped.images] = dropped.kept

    def drop_leaks(self, leaks: Leaks, groups: Indices) -> None:
        """Drop every leak with its whole group: the other members are its copies.

        Args:
            leaks: What `find_leaks` returned.
            groups: The loosest level of `group_copies`.
        """
        leaked = np.full(len(groups), len(groups), np.int64)
        np.minimum.at(leaked, groups[leaks.images], leaks.images)
        linked = np.flatnonzero(leaked[groups] < len(groups))
        self.grounds[linked] = GROUNDS.index((LEAK, LINKED))
        self.match[linked] = leaked[groups[linked]]
        self.grounds[leaks.images] = _FIRST_LEAK + leaks.reasons
        self.match[leaks.images] = leaks.matches

    def verdicts(self, rows: slice, row_ids: Digests, places: pa.Array) -> pa.Table:
        """Spell the verdicts on some images as rows of `records.VERDICT`.

        Args:
            rows: Which.
            row_ids: Names of all images.
            places: Names of the evaluation images.
        """
        grounds, match = self.grounds[rows], self.match[rows]
        kept, leak = grounds == KEPT, grounds >= _FIRST_LEAK
        filters, reasons = (pa.array(words, pa.string()) for words in zip(*GROUNDS, strict=True))
        numbers = pa.array(grounds, mask=kept)
        details = np.full(len(grounds), None, np.object_)
        details[leak] = places.take(pa.array(match[leak])).to_pylist()
        details[~kept & ~leak] = to_texts(row_ids[match[~kept & ~leak]])
        return pa.table(
            {
                "row_id": pa.array(to_texts(row_ids[rows]), pa.string()),
                "kept": pa.array(kept),
                "filter": filters.take(numbers),
                "reason": reasons.take(numbers),
                "detail": pa.array(details, pa.string()),
            }
        )
