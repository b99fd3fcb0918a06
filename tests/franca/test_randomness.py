"""Stateless randomness: equal arguments, equal streams; any difference, another stream."""

import torch

from franca.randomness import derive_seed, generator, numpy_generator


def test_equal_arguments_give_equal_streams():
    first = torch.rand(4, generator=generator(0, "crops", 3, 7))
    torch.rand(100)  # the global generator plays no part
    assert torch.equal(first, torch.rand(4, generator=generator(0, "crops", 3, 7)))


def test_seed_is_pinned_across_machines():
    assert derive_seed(0, "crops", 3, 7) == 5164927729106137225


def test_each_argument_matters():
    streams = {
        numpy_generator(*arguments).random()
        for arguments in [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a", 1, 1)]
    }
    assert len(streams) == 5
