"""SemDeDup against its definition in loops, and its independence of order."""

import numpy as np
import pytest

from data_filters.dedup import semdedup as module
from data_filters.dedup.semdedup import semdedup
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


@pytest.mark.parametrize("block", [7, 4096])
def test_it_is_its_loop_form(rows, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    members, closeness = module._clusters(rows, number=5, seed=0)
    found = semdedup(rows, clusters=5, min_cosine=0.97, seed=0)
    expected = by_loops(rows, members, closeness, 0.97)
    assert dict(zip(found.images.tolist(), found.kept.tolist(), strict=True)) == expected
    assert found.images.tolist() == sorted(expected)
    assert 50 < len(expected) < 200


def test_of_copies_the_one_farthest_from_its_centroid_stays(rows):
    members, closeness = module._clusters(rows, number=5, seed=0)
    found = semdedup(rows, clusters=5, min_cosine=0.97, seed=0)
    assert (members[found.images] == members[found.kept]).all()
    assert (closeness[found.kept] <= closeness[found.images]).all()


def test_a_stricter_cosine_drops_less_and_one_drops_only_copies(rows):
    twice = np.concatenate([rows, rows[:10]])
    sizes = [len(semdedup(twice, clusters=5, min_cosine=c, seed=0).images) for c in (0.9, 0.99)]
    assert sizes[0] > sizes[1] > 0
    copies = semdedup(twice, clusters=5, min_cosine=1 - 1e-6, seed=0)
    assert len(copies.images) == 10


def test_few_images_and_none():
    assert (
        semdedup(np.ones((1, 3), np.float16), clusters=9, min_cosine=0.5, seed=0).images.size == 0
    )
    two = np.float16([[0.6, 0.8], [0.6, 0.8]])
    assert semdedup(two, clusters=9, min_cosine=0.9, seed=0).images.size in {0, 1}
