"""Cells: every vector is a member of one and visits the next nearest."""

import duckdb
import numpy as np
import pytest

from data_filters.dedup import cells as module
from data_filters.dedup.cells import cells
from data_filters.dedup.vectors import Vectors
from data_filters.models.network import normalised


@pytest.mark.parametrize("at_a_time", [1, 1 << 20])
def test_members_and_visitors_are_those_of_the_nearest_centroids(monkeypatch, at_a_time):
    monkeypatch.setattr(module, "_AT_A_TIME", at_a_time)
    rows = normalised(np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32))
    vectors = Vectors(rows.astype(np.float16), np.arange(90))
    index = module._centroids(vectors, number=7, seed=0)
    cosines, nearest = index.search(vectors.read(slice(None)), 2)
    with duckdb.connect() as connection:
        found = list(cells(connection, vectors, number=7, probes=2, seed=0))
    assert len(found) == 7
    for images, members in found:
        number = nearest[images[0], 0]
        assert set(images[:members]) == set(np.flatnonzero(nearest[:, 0] == number))
        assert set(images[members:]) == set(np.flatnonzero(nearest[:, 1] == number))
        assert (np.diff(cosines[images[:members], 0]) >= 0).all()  # the farthest first
