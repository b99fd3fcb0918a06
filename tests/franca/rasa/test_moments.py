import numpy as np
import pytest
import torch
from torch import multiprocessing

from franca.rasa.closed_form import fit_leace
from franca.rasa.moments import Moments, moments_of, sum_moments
from tests.franca.rasa.worlds import features_with_position


def tokens_and_targets(seed=0, dim=6, count=50):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(count, dim, generator=draw) + 3
    return features, torch.rand(count, 2, generator=draw)


def test_moments_equal_numpy():
    features, targets = tokens_and_targets()
    moments = moments_of(features, targets)
    joint = np.cov(torch.cat([features, targets], 1).double().numpy().T, ddof=0)
    np.testing.assert_allclose(moments.covariance(), joint[:6, :6], atol=1e-6)
    np.testing.assert_allclose(moments.cross_covariance(), joint[:6, 6:], atol=1e-6)
    np.testing.assert_allclose(moments.target_covariance(), joint[6:, 6:], atol=1e-6)
    np.testing.assert_allclose(moments.mean, features.mean(0), atol=1e-6)


def test_large_means_do_not_drown_small_deviations():
    features, targets = tokens_and_targets(count=4000)
    moments = moments_of(1000 + features, targets)
    expected = moments_of(features.double(), targets.double())
    torch.testing.assert_close(moments.covariance(), expected.covariance(), rtol=0, atol=2e-3)


def test_sum_of_parts_is_the_whole():
    features, targets = tokens_and_targets()
    parts = sum_moments([(features[:20], targets[:20]), (features[20:], targets[20:])])
    whole = moments_of(features, targets)
    torch.testing.assert_close(parts.covariance(), whole.covariance(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        parts.cross_covariance(), whole.cross_covariance(), atol=1e-6, rtol=0
    )


def test_stride_thins_only_the_covariance():
    features, targets = tokens_and_targets()
    thin = moments_of(features, targets, covariance_stride=5)
    whole = moments_of(features, targets)
    assert torch.equal(thin.zy, whole.zy)
    torch.testing.assert_close(
        thin.covariance(), moments_of(features[::5], targets[::5]).covariance()
    )


def test_mapped_moments_equal_moments_of_mapped_features():
    features, targets = tokens_and_targets()
    whole = moments_of(features, targets, covariance_stride=3)
    erased = fit_leace(whole, metadata={})
    expected = moments_of(erased(features), targets, covariance_stride=3)
    mapped = whole.mapped(erased)
    for name in ("covariance", "cross_covariance"):
        torch.testing.assert_close(
            getattr(mapped, name)(), getattr(expected, name)(), atol=1e-5, rtol=0
        )


def reduce_on(rank, world, folder):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world
    )
    features, targets = tokens_and_targets()
    share = moments_of(features[rank::world], targets[rank::world]).all_reduced()
    torch.save(share.cross_covariance(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow  # starts two interpreters
def test_processes_that_sum_their_shares_agree_with_one(tmp_path):
    multiprocessing.spawn(reduce_on, args=(2, str(tmp_path)), nprocs=2)
    expected = moments_of(*tokens_and_targets()).cross_covariance()
    for rank in range(2):
        reduced = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(reduced, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_refused(bad):
    features, targets = tokens_and_targets()
    features[3, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        moments_of(features, targets)


def test_too_few_tokens_are_refused():
    with pytest.raises(ValueError, match="6 tokens cannot say what 6 dimensions hold"):
        sum_moments([tokens_and_targets(count=6)])
    with pytest.raises(ValueError, match="no features to fit"):
        sum_moments([])


def test_moments_of_a_known_world_show_position():
    features, targets = features_with_position()
    moments: Moments = moments_of(
        features.flatten(0, 1), targets.expand(len(features), -1, -1).flatten(0, 1)
    )
    assert moments.cross_covariance().abs().max() > 0.01
