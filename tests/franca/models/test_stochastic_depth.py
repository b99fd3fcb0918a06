"""Stochastic depth: what is kept, how much of it, and how it is weighed."""

import torch

from tests.franca.depth import draw


def test_subsets_are_whole_distinct_sequences_with_unbiased_scale():
    for subset in draw(drop_path=0.4, count=20):
        assert subset.packing == ((2, 5), (3, 3))
        first, second = subset.rows[:10].view(2, 5), (subset.rows[10:] - 20).view(3, 3)
        for rows, tokens in [(first, 5), (second, 3)]:
            assert torch.equal(rows - rows[:, :1], torch.arange(tokens).expand_as(rows))
            assert (rows[:, 0] % tokens == 0).all()
            assert len(rows[:, 0].unique()) == len(rows)
        assert subset.scale.flatten().tolist() == [2.0] * 19


def test_subsets_are_independent_and_repeatable():
    drawn = [tuple(subset.rows.tolist()) for subset in draw(drop_path=0.4, count=30)]
    assert len(set(drawn)) > 15
    assert drawn == [tuple(subset.rows.tolist()) for subset in draw(drop_path=0.4, count=30)]


def test_at_least_one_sequence_is_kept():
    assert draw(drop_path=0.99)[0].packing == ((1, 5), (1, 3))
