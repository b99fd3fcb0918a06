"""Images whose embeddings are close, by faiss: exactly, or through an inverted file of lists."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float16] | npt.NDArray[np.float32]

_BLOCK: Final = 16_384
"""Queries at a time."""


class Search(NamedTuple):
    """How to look for neighbours.

    Attributes:
        neighbours: Nearest images considered of each image.
        lists: Cells into which k-means cuts the space; None compares all with all, exactly.
        probes: Cells searched for each image; the more, the fewer pairs are missed.
        seed: Of k-means.
    """

    neighbours: int
    lists: int | None
    probes: int
    seed: int


def close_pairs(
    embeddings: Embeddings, *, min_cosine: float, search: Search
) -> tuple[Indices, Indices]:
    """Find pairs of images whose embeddings have a cosine of at least `min_cosine`.

    The embeddings must come in an order that depends on content alone: k-means begins with some of
    them, so which pairs an inverted file finds depends on their order.

    Args:
        embeddings: Of length one, [images, dim].
        min_cosine: -1 to 1.
        search: How to look.

    Returns:
        Indices i and j with i < j, sorted, without repeats.
    """
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    none = np.zeros(0, np.int64)
    if len(rows) < 2:
        return none, none
    index = _index(rows, search)
    found = [none]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        # one more than asked for: the nearest neighbour of an image is itself
        cosines, nearest = index.search(block, min(search.neighbours + 1, len(rows)))
        place, column = np.nonzero((cosines >= min_cosine) & (nearest >= 0))
        left, right = place + start, nearest[place, column]
        low, high = np.minimum(left, right), np.maximum(left, right)
        found.append((low * len(rows) + high)[low < high])
    pairs = np.unique(np.concatenate(found))
    return pairs // len(rows), pairs % len(rows)


def _index(rows: npt.NDArray[np.float32], search: Search) -> Any:
    import faiss  # half a second, for users of embeddings

    dim = rows.shape[1]
    index: Any
    if search.lists is None:
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dim), dim, search.lists, faiss.METRIC_INNER_PRODUCT
        )
        index.nprobe = search.probes
        index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = search.seed, True, 1
        index.train(rows)
    index.add(rows)
    return index


class Matches(NamedTuple):
    """Queries that resemble something, ascending, and what each resembles most."""

    queries: Indices
    base: Indices


def best_matches(queries: Embeddings, base: Embeddings, *, min_cosine: float) -> Matches:
    """Find for each query the closest of `base`, exactly; those below `min_cosine` are left out.

    Args:
        queries: Of length one, [queries, dim].
        base: Of length one, [base, dim].
        min_cosine: -1 to 1.
    """
    none = np.zeros(0, np.int64)
    if not len(queries) or not len(base):
        return Matches(none, none)
    import faiss

    index = faiss.IndexFlatIP(base.shape[1])
    index.add(np.ascontiguousarray(base, dtype=np.float32))
    found, matched = [none], [none]
    for start in range(0, len(queries), _BLOCK):
        block = np.ascontiguousarray(queries[start : start + _BLOCK], dtype=np.float32)
        cosines, nearest = index.search(block, 1)
        close = np.flatnonzero(cosines[:, 0] >= min_cosine)
        found.append(close + start)
        matched.append(nearest[close, 0])
    return Matches(np.concatenate(found), np.concatenate(matched))
