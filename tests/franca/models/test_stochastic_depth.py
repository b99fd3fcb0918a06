"""Stochastic depth: what is kept, how much of it, and how it is weighed."""

import dataclasses

import torch

from franca.models.stochastic_depth import draw_subsets
from tests.franca.depth import depth_source, draw


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


def test_shares_of_a_group_have_its_kept_sequences_between_them():
    """Of two views of four images, those of images 1 to 3 and those of image 0 make up all."""

    def kept(images):
        source = dataclasses.replace(depth_source(4), images=images)
        (subset,) = draw_subsets(
            packing=((2 * len(images), 3),),
            drop_path=0.4,
            count=1,
            source=source,
            device=torch.device("cpu"),
        )
        sequences = (subset.rows[::3] // 3).tolist()
        views = [divmod(sequence, len(images)) for sequence in sequences]
        return {(view, images[image]) for view, image in views}

    whole = kept(range(4))
    assert len(whole) == 4
    assert kept(range(1)) == {pair for pair in whole if pair[1] == 0}
    assert kept(range(1, 4)) == {pair for pair in whole if pair[1] > 0}
