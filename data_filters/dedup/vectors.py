"""Embeddings on disk: more of them than fit into memory, read some rows at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.float16]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """Some embeddings, in an order of their own.

    What is learned from some of them, and the last bits of a product of many, depend on the order;
    so it must depend on content alone.

    Attributes:
        stored: Of length one, [images, dim]; as a rule a mapped file.
        order: Places in `stored`, [rows].
    """

    stored: Embeddings
    order: Indices

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.order)

    def read(self, rows: slice | Indices) -> npt.NDArray[np.float32]:
        """Return some rows, [rows, dim]."""
        return np.asarray(self.stored[self.order[rows]], dtype=np.float32)


def stacked(parts: Sequence[Embeddings]) -> Embeddings:
    """Join embeddings; those of no image at all have no width."""
    some = [part for part in parts if len(part)]
    return np.concatenate(some) if some else np.zeros((0, 0), np.float16)


def mapped(file: Path, parts: Sequence[Path]) -> Embeddings:
    """Make room in a new .npy file for the embeddings that some others hold, and map it."""
    shapes = [np.load(part, mmap_mode="r").shape for part in parts]
    shape = (sum(rows for rows, _ in shapes), max((dim for _, dim in shapes), default=0))
    room: Embeddings = np.lib.format.open_memmap(file, "w+", np.dtype(np.float16), shape)
    return room
