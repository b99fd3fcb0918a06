"""SemDeDup against its definition in loops, and its independence of order."""

import duckdb
import numpy as np
import pytest

from data_filters.dedup import cells
from data_filters.dedup import semdedup as module
from data_filters.dedup.semdedup import semdedup
from data_filters.dedup.vectors import Vectors
from data_filters.models.network import normalised


@pytest.fixture(scope="module")
def rows():
    """Five well separated clouds of 40 unit vectors, some of which nearly coincide."""
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(5, 12), 40, axis=0)
    spread = rng.normal(size=(200, 12)) * np.where(np.arange(200) % 3, 0.02, 0.3)[:, None]
    return normalised((centres + spread).astype(np.float32))


def by_loops(rows, members, closeness, min_cosine):
    """Section 3 of the paper: in each cluster, sorted, drop what an earlier one resembles."""
    dropped = {}
    for cluster in np.unique(members):
        order = sorted(np.flatnonzero(members == cluster), key=lambda i: (closeness[i], i))
        for place, image in enumerate(order):
            for before in order[:place]:
                if rows[image] @ rows[before] >= min_cosine:
                    dropped[int(image)] = int(before)
                    break
    return dropped


def thinned(rows, *, clusters, min_cosine):
    """Places of the images dropped, and for each the image that stays."""
    with duckdb.connect() as connection:
        found = semdedup(
            connection,
            Vectors(rows, np.arange(len(rows))),
            clusters=clusters,
            min_cosine=min_cosine,
            seed=0,
        )
        return {int(a): int(b) for some in found for a, b in zip(*some, strict=True)}


def clusters(rows):
    """The cluster of each image, and its cosine to the centroid."""
    centroids = cells._centroids(Vectors(rows, np.arange(len(rows))), number=5, seed=0)
    cosines, nearest = centroids.search(rows, 1)
    return nearest[:, 0], cosines[:, 0]


@pytest.mark.parametrize("block", [7, 4096])
def test_it_is_its_loop_form(rows, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    expected = by_loops(rows, *clusters(rows), 0.97)
    assert thinned(rows, clusters=5, min_cosine=0.97) == expected
    assert 50 < len(expected) < 200


def test_of_copies_the_one_farthest_from_its_centroid_stays(rows):
    members, closeness = clusters(rows)
    for dropped, kept in thinned(rows, clusters=5, min_cosine=0.97).items():
        assert members[dropped] == members[kept]
        assert closeness[kept] <= closeness[dropped]


def test_a_stricter_cosine_drops_less_and_one_drops_only_copies(rows):
    twice = np.concatenate([rows, rows[:10]])
    sizes = [len(thinned(twice, clusters=5, min_cosine=c)) for c in (0.9, 0.99)]
    assert sizes[0] > sizes[1] > 0
    assert len(thinned(twice, clusters=5, min_cosine=1 - 1e-6)) == 10


@pytest.mark.parametrize("size", [0, 1, 2])
def test_few_images_and_none(size):
    rows = np.tile(np.float16([0.6, 0.8]), (size, 1))
    assert len(thinned(rows, clusters=9, min_cosine=0.9)) <= max(0, size - 1)


def test_a_cosine_of_just_the_least_is_too_close():
    rows = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert thinned(rows, clusters=1, min_cosine=1.0) == {2: 0}
