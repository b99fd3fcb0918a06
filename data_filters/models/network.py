"""What a network is to a filter: it prepares one image, and turns a batch of them into vectors.

What an image gets must depend on that image alone. The last bits of a matrix product depend on how
many rows it has, so a batch always has the same number: a short one is filled up with zeros.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data_filters.io.pixels import Pixels

Prepared = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]


class Network(ABC):
    """Pixels in, vectors out. A new kind of network is these two methods."""

    @abstractmethod
    def prepare(self, pixels: Pixels) -> Prepared:
        """Resize and normalise one upright RGB image, [height, width, 3], as the network wants."""

    @abstractmethod
    def forward(self, batch: Prepared) -> Vectors:
        """Return a vector for each prepared image: [images, ...] to [images, dim]."""


def vectors(network: Network, prepared: Sequence[Prepared], *, batch_size: int) -> Vectors:
    """Run a network over prepared images in batches of one size.

    Args:
        network: What to run.
        prepared: What its `prepare` returned, one entry per image; at least one.
        batch_size: Images per batch.

    Returns:
        [images, dim]; equal for an image whichever others are beside it.
    """
    found = []
    for start in range(0, len(prepared), batch_size):
        batch = np.stack(prepared[start : start + batch_size])
        missing = batch_size - len(batch)
        filled = np.pad(batch, [(0, missing), *[(0, 0)] * (batch.ndim - 1)])
        found.append(network.forward(filled)[: len(batch)])
    return np.concatenate(found)


def normalised(rows: Vectors) -> Vectors:
    """Scale each row to length one; a row of zeros stays what it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
