"""Embeddings by cell: k-means learned from a sample, the cells in a database that spills.

Cells cut the space so that only what lies in the same cell is compared. In memory are the sample,
the centroids, and one cell's list of images at a time.
"""

# ruff: noqa: S608  the SQL is made of our own words and numbers

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from data_filters.dedup.vectors import Indices, Vectors

SAMPLE: Final = 64
"""Images per cell that k-means sees."""

_ITERATIONS: Final = 20
_BLOCK: Final = 16_384
"""Images put into cells at a time."""

_AT_A_TIME: Final = 1 << 20
"""Entries of the cells that are read together."""


class Cell(NamedTuple):
    """A cell, and what is compared in it.

    Attributes:
        images: Rows of the vectors: first its members, those farthest from the centroid before
            others, then the images that have it among their nearest cells.
        members: How many are nearer to its centroid than to any other.
    """

    images: Indices
    members: int


def cells(
    connection: duckdb.DuckDBPyConnection, vectors: Vectors, *, number: int, probes: int, seed: int
) -> Iterator[Cell]:
    """Yield the cells of spherical k-means that are not empty.

    Args:
        connection: A database; its table `cells` is replaced.
        vectors: What to put into cells, in an order that depends on content alone.
        number: Of cells; no more than there are vectors are made.
        probes: Cells that a vector is put into, the nearest first.
        seed: Of k-means.
    """
    if len(vectors) == 0:
        return
    number = min(number, len(vectors))
    centroids = _centroids(vectors, number=number, seed=seed)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE cells (cell BIGINT, visits BOOLEAN, cosine FLOAT, row BIGINT)"
    )
    for first in tqdm(range(0, len(vectors), _BLOCK), desc="cells", unit="block"):
        entries = _nearest(centroids, vectors, first, probes=min(probes, number))
        connection.register("entries", entries)
        connection.execute("INSERT INTO cells SELECT * FROM entries")
        connection.unregister("entries")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE cells AS FROM cells ORDER BY cell, visits, cosine, row"
    )
    yield from _read(connection)


def _centroids(vectors: Vectors, *, number: int, seed: int) -> Any:
    """Learn cells from the first vectors; return an index of their centroids."""
    import faiss  # half a second, for users of embeddings

    sample = vectors.read(slice(0, SAMPLE * number))
    kmeans = faiss.Kmeans(
        sample.shape[1], number, niter=_ITERATIONS, seed=seed, spherical=True,
        min_points_per_centroid=1,
    )  # fmt: skip
    kmeans.train(sample)
    return kmeans.index


def _nearest(centroids: Any, vectors: Vectors, first: int, *, probes: int) -> pa.Table:
    """Name the nearest cells of a block of vectors: a row for each vector and cell."""
    block = vectors.read(slice(first, first + _BLOCK))
    cosines, nearest = centroids.search(block, probes)
    return pa.table(
        {
            "cell": nearest.ravel(),
            "visits": np.tile(np.arange(probes) > 0, len(block)),
            "cosine": cosines.ravel(),
            "row": np.repeat(np.arange(first, first + len(block)), probes),
        }
    )


def _read(connection: duckdb.DuckDBPyConnection) -> Iterator[Cell]:
    """Yield the cells of the table, some at a time."""
    sizes = connection.sql("SELECT cell, count(*) AS size FROM cells GROUP BY cell ORDER BY cell")
    found = sizes.fetchnumpy()
    run = np.cumsum(found["size"]) // _AT_A_TIME
    edges = np.flatnonzero(np.diff(run, prepend=-1, append=-1))
    for start, stop in tqdm(list(pairwise(edges)), desc="comparing", unit="run"):
        entries = connection.sql(
            "SELECT cell, visits, row FROM cells "
            f"WHERE cell BETWEEN {found['cell'][start]} AND {found['cell'][stop - 1]} "
            "ORDER BY cell, visits, cosine, row"
        ).fetchnumpy()
        bounds = np.flatnonzero(np.diff(entries["cell"], prepend=-1, append=-1))
        for low, high in pairwise(bounds):
            members = int(np.count_nonzero(~entries["visits"][low:high]))
            yield Cell(np.asarray(entries["row"][low:high]), members)
