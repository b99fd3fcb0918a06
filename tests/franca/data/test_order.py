"""The order of the samples: a permutation per epoch that depends on the seed and position alone."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from franca.data.order import EpochOrder, permute


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 3000), key=st.integers(0, 2**63 - 1))
def test_every_index_comes_exactly_once(size, key):
    permuted = permute(np.arange(size), size=size, key=key)
    assert np.array_equal(np.sort(permuted), np.arange(size))


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(1, 500),
    seed=st.integers(0, 2**31),
    start=st.integers(0, 3000),
    cuts=st.lists(st.integers(0, 700), max_size=4),
)
def test_a_range_of_positions_is_its_parts(size, seed, start, cuts):
    """Any split over ranks, workers or restarts reads the same samples at the same positions."""
    order = EpochOrder(size=size, seed=seed)
    edges = [start, *sorted(start + cut for cut in cuts), start + 700]
    parts = [order.samples_between(a, b) for a, b in pairwise(edges)]
    whole = order.samples_between(start, start + 700)
    assert np.array_equal(np.concatenate(parts), whole)
    assert order.sample_at(start + 13) == whole[13]


def test_each_epoch_holds_each_sample_once_even_when_batches_cross_epochs():
    order = EpochOrder(size=103, seed=5)
    drawn = np.concatenate([order.samples_between(s * 16, (s + 1) * 16) for s in range(20)])
    for epoch in range(3):
        assert np.array_equal(np.sort(drawn[epoch * 103 : (epoch + 1) * 103]), np.arange(103))


def test_epochs_and_seeds_differ():
    orders = [
        EpochOrder(size=1000, seed=seed).samples_between(epoch * 1000, (epoch + 1) * 1000)
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    for i, first in enumerate(orders):
        for second in orders[:i]:
            # Two random permutations of 1,000 agree in about one place.
            assert (first == second).sum() < 10


@pytest.mark.parametrize("size", [5, 17, 64])
def test_places_are_uniform(size):
    """Over many keys each index lands in each place equally often (chi-square, 5 sigma)."""
    keys = 1000
    counts = np.zeros((size, size))
    for key in range(keys):
        counts[np.arange(size), permute(np.arange(size), size=size, key=key * 7919)] += 1
    expected = keys / size
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_are_independent():
    """The distance between successive samples has the mean of a random permutation, size / 3."""
    size = 100_000
    steps = np.abs(np.diff(permute(np.arange(size), size=size, key=3)))
    assert abs(steps.mean() / (size / 3) - 1) < 0.01


def test_memory_does_not_grow_with_the_data_set():
    order = EpochOrder(size=6 * 10**8, seed=0)
    tracemalloc.start()
    order.samples_between(123_456_789, 123_456_789 + 256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("size", [10, 64])
def test_order_is_pinned_across_machines(size, epoch):
    start = epoch * size
    samples = EpochOrder(size=size, seed=0).samples_between(start, start + 10)
    assert samples.tolist() == PINNED[size, epoch]


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        EpochOrder(size=0, seed=0)


PINNED = {  # by size and epoch; a power of four is its own domain
    (10, 0): [1, 8, 5, 7, 4, 2, 9, 0, 3, 6],
    (10, 1): [8, 2, 5, 7, 4, 3, 0, 1, 9, 6],
    (64, 0): [30, 27, 55, 60, 52, 37, 44, 17, 54, 61],
    (64, 1): [57, 40, 51, 29, 54, 26, 39, 16, 1, 52],
}
