"""The band index finds exactly the pairs that brute force finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_filters.dedup import hamming
from data_filters.dedup.hamming import Lookup, bands, pairs_within

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=25)
FLIPS = st.lists(
    st.tuples(st.integers(0, 24), st.sets(st.integers(0, 63), max_size=9)), max_size=25
)


def close_family(hashes, flips):
    """Hashes, and copies of them with some bits flipped."""
    family = list(hashes)
    for place, bits in flips:
        if hashes:
            family.append(hashes[place % len(hashes)] ^ sum(1 << bit for bit in bits))
    return np.array(family, np.uint64)


def brute_force(queries, base, radius):
    return [
        (i, j)
        for i, a in enumerate(queries)
        for j, b in enumerate(base)
        if (int(a) ^ int(b)).bit_count() <= radius
    ]


@given(HASHES, FLIPS, st.integers(0, 12))
def test_within_one_set(hashes, flips, radius):
    family = close_family(hashes, flips)
    expected = [(i, j) for i, j in brute_force(family, family, radius) if i < j]
    left, right = pairs_within(family, radius=radius)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == expected


@given(HASHES, FLIPS, HASHES, st.integers(0, 12))
def test_between_two_sets(hashes, flips, more, radius):
    queries = close_family(hashes, flips)
    base = np.array(hashes + more, np.uint64)
    left, right = Lookup(base, radius=radius).pairs(queries)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == brute_force(
        queries, base, radius
    )


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_the_size_of_the_chunks_changes_nothing(monkeypatch, limit):
    hashes = np.random.default_rng(0).integers(0, 2**8, 200, dtype=np.uint64)
    whole = [*Lookup(hashes, radius=2).pairs(hashes), *pairs_within(hashes, radius=2)]
    monkeypatch.setattr(hamming, "_MAX_CANDIDATES", limit)
    cut = [*Lookup(hashes, radius=2).pairs(hashes), *pairs_within(hashes, radius=2)]
    assert [side.tolist() for side in cut] == [side.tolist() for side in whole]


@pytest.mark.parametrize("size", [10, 10**4, 10**5, 10**7])
@pytest.mark.parametrize("radius", [0, 1, 2, 5, 6, 12])
def test_however_many_hashes_there_are_to_look_through(monkeypatch, radius, size):
    """With many of them bands are few and wide, and values that differ a little looked up too."""
    chosen = hamming._probes(size, radius=radius)
    monkeypatch.setattr(hamming, "_probes", lambda _, *, radius: chosen)  # noqa: ARG005
    rng = np.random.default_rng(radius)
    base = rng.integers(0, 2**64, 60, dtype=np.uint64)
    changed = [sum(1 << int(bit) for bit in rng.permutation(64)[: k % (radius + 3)])
               for k in range(60)]  # fmt: skip
    queries = base ^ np.array(changed, np.uint64)
    left, right = Lookup(base, radius=radius).pairs(queries)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == brute_force(
        queries, base, radius
    )
    assert len(left) >= 60 * (radius + 1) // (radius + 3)


@pytest.mark.parametrize("number", [1, 2, 4, 17, 64])
def test_bands_cover_every_bit_once(number):
    masks = [int(band.mask) << int(band.shift) for band in bands(number)]
    assert len(masks) == number
    assert sum(masks) == 2**64 - 1
