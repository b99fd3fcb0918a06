"""SemDeDup: thin out what k-means puts together, keeping the unusual.

After Abbas et al., "SemDeDup: Data-efficient learning at web-scale through semantic deduplication"
(arXiv 2303.09540), section 3; written from the paper, for its code may not be used commercially.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float16] | npt.NDArray[np.float32]


class Dropped(NamedTuple):
    """Images dropped, and the image that stays in place of each."""

    images: Indices
    kept: Indices


_ITERATIONS: Final = 20
_BLOCK: Final = 4096
"""Images of a cluster compared at a time."""


def semdedup(embeddings: Embeddings, *, clusters: int, min_cosine: float, seed: int) -> Dropped:
    """Drop images that are too close to another one of their cluster.

    Within a cluster images are ordered from the farthest from the centroid to the nearest, and one
    goes if its cosine to any before it is at least `min_cosine`. So of copies the one stays that is
    least like the cluster, whatever order they came in.

    Args:
        embeddings: Of length one, [images, dim], in an order that depends on content alone: k-means
            begins with some of them, and equals settle by it.
        clusters: Number of clusters; no more than there are images are made.
        min_cosine: 1 - epsilon in the paper's words.
        seed: Of k-means.

    Returns:
        The images to drop, ascending, and for each the first before it that it resembles (which may
        itself be dropped for the sake of another).
    """
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    none = np.zeros(0, np.int64)
    if len(rows) < 2:
        return Dropped(none, none)
    members, closeness = _clusters(rows, number=min(clusters, len(rows)), seed=seed)
    images, kept = [none], [none]
    order = np.lexsort((np.arange(len(rows)), closeness, members))
    starts = np.flatnonzero(np.r_[True, np.diff(members[order]) > 0])
    for cluster in np.split(order, starts[1:]):
        place, before = _too_close(rows[cluster], min_cosine=min_cosine)
        images.append(cluster[place])
        kept.append(cluster[before])
    dropped, because = np.concatenate(images), np.concatenate(kept)
    ascending = np.argsort(dropped)
    return Dropped(dropped[ascending], because[ascending])


def _clusters(
    rows: npt.NDArray[np.float32], *, number: int, seed: int
) -> tuple[Indices, npt.NDArray[np.float32]]:
    """Return the cluster of each image by spherical k-means, and its cosine to the centroid."""
    import faiss  # half a second, for users of embeddings

    kmeans = faiss.Kmeans(
        rows.shape[1], number, niter=_ITERATIONS, seed=seed, spherical=True,
        min_points_per_centroid=1,
    )  # fmt: skip
    kmeans.train(rows)
    cosines, nearest = kmeans.index.search(rows, 1)
    return nearest[:, 0], cosines[:, 0]


def _too_close(rows: npt.NDArray[np.float32], *, min_cosine: float) -> tuple[Indices, Indices]:
    """Return the rows that are close to one before them, and the first such one."""
    late, early = [], []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        close = block @ rows[: start + len(block)].T >= min_cosine
        close &= np.arange(close.shape[1]) < (np.arange(len(block)) + start)[:, None]
        some = np.flatnonzero(close.any(axis=1))
        late.append(some + start)
        early.append(close[some].argmax(axis=1))
    return np.concatenate(late), np.concatenate(early)
