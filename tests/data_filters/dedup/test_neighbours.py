"""Close embeddings: exact against brute force; an inverted file misses little and adds nothing."""

import numpy as np
import pytest

from data_filters.dedup.neighbours import Search, best_matches, close_pairs
from data_filters.models.network import normalised

EXACT = Search(neighbours=8, lists=None, probes=1, seed=0)


@pytest.fixture(scope="module")
def rows():
    """400 unit vectors, of which the last 100 are near copies of the first."""
    rng = np.random.default_rng(0)
    some = normalised(rng.normal(size=(300, 24)).astype(np.float32))
    copies = normalised(some[:100] + 0.05 * rng.normal(size=(100, 24)).astype(np.float32))
    return np.concatenate([some, copies]).astype(np.float16)


def brute_force(rows, min_cosine):
    cosines = rows.astype(float) @ rows.astype(float).T
    return set(zip(*np.nonzero(np.triu(cosines >= min_cosine, 1)), strict=True))


def pairs(rows, min_cosine, search):
    return set(zip(*close_pairs(rows, min_cosine=min_cosine, search=search), strict=True))


def test_all_with_all_finds_exactly_what_brute_force_finds(rows):
    expected = brute_force(rows, 0.9)
    assert len(expected) >= 90
    assert pairs(rows, 0.9, EXACT) == expected


def test_an_inverted_file_misses_little_and_adds_nothing(rows):
    expected = brute_force(rows, 0.9)
    some = pairs(rows, 0.9, Search(neighbours=8, lists=20, probes=4, seed=0))
    assert some <= expected
    assert len(some) >= 0.9 * len(expected)
    assert pairs(rows, 0.9, Search(neighbours=8, lists=20, probes=20, seed=0)) == expected
    again = pairs(rows, 0.9, Search(neighbours=8, lists=20, probes=4, seed=0))
    assert again == some


def test_few_neighbours_still_join_what_belongs_together():
    rows = np.tile(np.float16([0.6, 0.8]), (50, 1))
    left, right = close_pairs(rows, min_cosine=0.99, search=EXACT._replace(neighbours=2))
    assert (left < right).all()
    assert len(left) >= 40


def test_nothing_has_no_neighbours():
    for size in (0, 1):
        left, right = close_pairs(np.ones((size, 3), np.float16), min_cosine=0, search=EXACT)
        assert (len(left), len(right)) == (0, 0)
    matches = best_matches(np.ones((2, 3), np.float16), np.zeros((0, 0), np.float16), min_cosine=0)
    assert matches.queries.tolist() == []


def test_best_matches_are_the_largest_cosines(rows):
    cosines = rows[300:].astype(float) @ rows[:300].astype(float).T
    found = best_matches(rows[300:], rows[:300], min_cosine=0.97)
    assert found.queries.tolist() == np.flatnonzero(cosines.max(axis=1) >= 0.97).tolist()
    assert found.base.tolist() == cosines.argmax(axis=1)[found.queries].tolist()
    assert 0 < len(found.queries) < 100
