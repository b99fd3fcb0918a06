"""Images whose embeddings are close: all pairs of a cell, and the closest evaluation image."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import duckdb
import numpy as np

from data_filters.dedup.cells import cells
from data_filters.dedup.vectors import Embeddings, Indices, Vectors

_BLOCK: Final = 2048
"""Images compared with as many others at a time: 16 MB of cosines."""

_QUERIES: Final = 16_384
"""Images at a time whose closest evaluation image is looked for."""


def close_pairs(
    connection: duckdb.DuckDBPyConnection,
    vectors: Vectors,
    *,
    min_cosine: float,
    lists: int | None,
    probes: int,
    seed: int,
) -> Iterator[tuple[Indices, Indices]]:
    """Yield pairs of vectors with a cosine of at least `min_cosine`; some may come again.

    An inverted file: a pair is found if one of the two has the cell of the other among its nearest
    cells. Within a cell everything is compared, so no number of neighbours limits what is found.

    Args:
        connection: A database, for the cells.
        vectors: In an order that depends on content alone.
        min_cosine: -1 to 1.
        lists: Number of cells; None compares all with all.
        probes: Cells searched for each vector; the more, the fewer pairs are missed.
        seed: Of k-means.
    """
    for cell in cells(connection, vectors, number=lists or 1, probes=probes, seed=seed):
        for first in range(0, cell.members, _BLOCK):
            base = cell.images[first : min(first + _BLOCK, cell.members)]
            theirs = vectors.read(base)
            for start in range(first, len(cell.images), _BLOCK):
                queries = cell.images[start : start + _BLOCK]
                left, right = np.nonzero(vectors.read(queries) @ theirs.T >= min_cosine)
                one, other = queries[left], base[right]
                yield one[one != other], other[one != other]


class Matches(NamedTuple):
    """Queries that resemble something, ascending, and what each resembles most."""

    queries: Indices
    base: Indices


class Closest:
    """Embeddings among which the closest to others is looked up, exactly.

    Args:
        base: Of length one, [base, dim].
    """

    def __init__(self, base: Embeddings) -> None:
        import faiss  # half a second, for users of embeddings

        self._index = faiss.IndexFlatIP(base.shape[1])
        self._index.add(np.ascontiguousarray(base, dtype=np.float32))

    def matches(self, queries: Embeddings, *, min_cosine: float) -> Matches:
        """Find for each query the closest; those below `min_cosine` are left out.

        Args:
            queries: Of length one, [queries, dim].
            min_cosine: -1 to 1.
        """
        found, matched = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start in range(0, len(queries) if self._index.ntotal else 0, _QUERIES):
            block = np.ascontiguousarray(queries[start : start + _QUERIES], dtype=np.float32)
            cosines, nearest = self._index.search(block, 1)
            close = np.flatnonzero(cosines[:, 0] >= min_cosine)
            found.append(close + start)
            matched.append(nearest[close, 0])
        return Matches(np.concatenate(found), np.concatenate(matched))
