"""SemDeDup: thin out what k-means puts together, keeping the unusual.

After Abbas et al., "SemDeDup: Data-efficient learning at web-scale through semantic deduplication"
(arXiv 2303.09540), section 3; written from the paper, for its code may not be used commercially.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import duckdb
import numpy as np

from data_filters.dedup.cells import cells
from data_filters.dedup.vectors import Indices, Vectors


class Dropped(NamedTuple):
    """Images dropped, and the image that stays in place of each."""

    images: Indices
    kept: Indices


_BLOCK: Final = 2048
"""Images of a cluster compared with as many others at a time: 16 MB of cosines."""


def semdedup(
    connection: duckdb.DuckDBPyConnection,
    vectors: Vectors,
    *,
    clusters: int,
    min_cosine: float,
    seed: int,
) -> Iterator[Dropped]:
    """Drop images that are too close to another one of their cluster.

    Within a cluster images are ordered from the farthest from the centroid to the nearest, and one
    goes if its cosine to any before it is at least `min_cosine`. So of copies the one stays that is
    least like the cluster, whatever order they came in.

    Args:
        connection: A database, for the clusters.
        vectors: In an order that depends on content alone: equals settle by it.
        clusters: Number of clusters; no more than there are images are made.
        min_cosine: 1 - epsilon in the paper's words.
        seed: Of k-means.

    Yields:
        Rows to drop, and for each the first before it that it resembles (which may itself be
        dropped for the sake of another).
    """
    for cluster, _ in cells(connection, vectors, number=clusters, probes=1, seed=seed):
        for start in range(0, len(cluster), _BLOCK):
            late, early = _too_close(vectors, cluster, start, min_cosine=min_cosine)
            yield Dropped(cluster[late], cluster[early])


def _too_close(
    vectors: Vectors, cluster: Indices, start: int, *, min_cosine: float
) -> tuple[Indices, Indices]:
    """Return the places in a block that are close to one before them, and the first such one."""
    block = vectors.read(cluster[start : start + _BLOCK])
    places = np.arange(start, start + len(block))
    first = places.copy()  # none yet: itself
    for begin in range(0, start + 1, _BLOCK):
        others = vectors.read(cluster[begin : begin + _BLOCK])
        close = block @ others.T >= min_cosine
        close &= begin + np.arange(len(others)) < places[:, None]
        found = np.where(close.any(axis=1), begin + close.argmax(axis=1), places)
        first = np.minimum(first, found)
    late = np.flatnonzero(first < places)
    return places[late], first[late]
