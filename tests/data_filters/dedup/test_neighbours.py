"""Close embeddings: exact against brute force; in cells, what an inverted file in memory finds."""

import duckdb
import faiss
import numpy as np
import pytest

from data_filters.dedup import cells, neighbours
from data_filters.dedup.neighbours import Closest, close_pairs
from data_filters.dedup.vectors import Vectors
from data_filters.models.network import normalised


@pytest.fixture(scope="module")
def rows():
    """400 unit vectors, of which the last 100 are near copies of the first."""
    rng = np.random.default_rng(0)
    some = normalised(rng.normal(size=(300, 24)).astype(np.float32))
    copies = normalised(some[:100] + 0.05 * rng.normal(size=(100, 24)).astype(np.float32))
    return np.concatenate([some, copies]).astype(np.float16)


@pytest.fixture(params=[7, 2048], ids="{} at a time".format)
def blocks(request, monkeypatch):
    """Blocks of some rows, and cells read some at a time."""
    monkeypatch.setattr(neighbours, "_BLOCK", request.param)
    monkeypatch.setattr(cells, "_BLOCK", request.param)
    monkeypatch.setattr(cells, "_AT_A_TIME", 10 * request.param)


def brute_force(rows, min_cosine):
    cosines = rows.astype(float) @ rows.astype(float).T
    return set(zip(*np.nonzero(np.triu(cosines >= min_cosine, 1)), strict=True))


def in_memory(rows, min_cosine, *, lists, probes):
    """What faiss's own inverted file finds, all of it in memory, from the same centroids."""
    vectors = Vectors(rows, np.arange(len(rows)))
    centroids = cells._centroids(vectors, number=lists, seed=0)
    index = faiss.IndexIVFFlat(centroids, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = probes
    index.add(rows.astype(np.float32))
    limits, _, found = index.range_search(rows.astype(np.float32), min_cosine)
    queries = np.repeat(np.arange(len(rows)), np.diff(limits.astype(np.int64)))
    return {(min(pair), max(pair)) for pair in zip(queries, found, strict=True) if len({*pair}) > 1}


def pairs(vectors, min_cosine, *, lists=None, probes=1):
    """Pairs of places of the embeddings."""
    order = np.asarray(vectors.order)
    with duckdb.connect() as connection:
        return {
            (min(pair), max(pair))
            for left, right in close_pairs(
                connection, vectors, min_cosine=min_cosine, lists=lists, probes=probes, seed=0
            )
            for pair in zip(order[left], order[right], strict=True)
        }


@pytest.mark.usefixtures("blocks")
def test_all_with_all_finds_exactly_what_brute_force_finds(rows):
    expected = brute_force(rows, 0.9)
    assert len(expected) >= 90
    order = np.random.default_rng(1).permutation(len(rows))
    assert pairs(Vectors(rows, order), 0.9) == expected


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("probes", [1, 2, 20])
def test_cells_on_disk_find_what_an_inverted_file_in_memory_finds(rows, tmp_path, probes):
    np.save(tmp_path / "rows.npy", rows)
    mapped = Vectors(np.load(tmp_path / "rows.npy", mmap_mode="r"), np.arange(len(rows)))
    found = pairs(mapped, 0.5, lists=20, probes=probes)
    everything = brute_force(rows, 0.5)
    assert found == in_memory(rows, 0.5, lists=20, probes=probes)
    assert (found == everything) == (probes == 20)
    assert 90 < len(found) <= len(everything)


def test_many_copies_are_one_group_however_many():
    rows = np.tile(np.float16([0.6, 0.8]), (50, 1))
    found = pairs(Vectors(rows, np.arange(50)), 0.99, lists=3)
    assert found >= {(first, first + 1) for first in range(49)}


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_has_no_neighbours(size):
    assert pairs(Vectors(np.ones((size, 3), np.float16), np.arange(size)), 0) == set()


def test_no_evaluation_image_matches_nothing():
    matches = Closest(np.zeros((0, 0), np.float16)).matches(
        np.ones((2, 3), np.float16), min_cosine=0
    )
    assert matches.queries.tolist() == []


def test_best_matches_are_the_largest_cosines(rows):
    cosines = rows[300:].astype(float) @ rows[:300].astype(float).T
    found = Closest(rows[:300]).matches(rows[300:], min_cosine=0.97)
    assert found.queries.tolist() == np.flatnonzero(cosines.max(axis=1) >= 0.97).tolist()
    assert found.base.tolist() == cosines.argmax(axis=1)[found.queries].tolist()
    assert 0 < len(found.queries) < 100


def test_a_cosine_of_just_the_least_is_close(monkeypatch):
    monkeypatch.setattr(neighbours, "_QUERIES", 2)
    rows = np.array([[1, 0], [0, 1], [1, 0]], np.float16)
    assert pairs(Vectors(rows, np.arange(3)), 1.0) == {(0, 2)}
    assert Closest(rows[:1]).matches(rows, min_cosine=1.0).queries.tolist() == [0, 2]
