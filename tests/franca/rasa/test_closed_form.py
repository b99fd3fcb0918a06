import numpy as np
import pytest
import torch

from franca.rasa.closed_form import fit_leace, fit_sal
from franca.rasa.diagnostics import energy_removed, linear_probe
from franca.rasa.moments import moments_of
from franca.rasa.targets import fourier
from tests.franca.rasa.worlds import features_with_position
from tests.reference import rasa as reference


def flat(features, targets):
    return features.flatten(0, 1), targets.expand(len(features), -1, -1).flatten(0, 1)


@pytest.fixture(scope="module")
def world():
    return flat(*features_with_position())


@pytest.mark.parametrize("fit", [fit_sal, fit_leace])
def test_no_covariance_with_the_targets_is_left(world, fit):
    features, targets = world
    erased = fit(moments_of(features, targets), metadata={})
    before = moments_of(features, targets).cross_covariance().abs().max()
    after = moments_of(erased(features).double(), targets.double()).cross_covariance().abs().max()
    assert erased.rank == 2
    assert after < 1e-6 * before + 1e-7


@pytest.mark.parametrize("fit", [fit_sal, fit_leace])
def test_held_out_position_is_at_chance(fit):
    fitted = moments_of(*flat(*features_with_position(images=200, seed=1)))
    train = moments_of(*flat(*features_with_position(images=200, seed=2)))
    test = moments_of(*flat(*features_with_position(images=200, seed=3)))
    erased = fit(fitted, metadata={})
    assert min(linear_probe(train, test).r2) > 0.5
    assert max(linear_probe(train.mapped(erased), test.mapped(erased)).r2) < 0.01


@pytest.mark.parametrize("fit", [fit_sal, fit_leace])
def test_the_mean_token_stays_where_it_is(world, fit):
    features, targets = world
    features = features + 3 * torch.arange(features.shape[1]) / features.shape[1]
    mean = features.mean(0)
    erased = fit(moments_of(features, targets), metadata={})
    torch.testing.assert_close(erased(mean[None])[0], mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(erased(features).mean(0), mean, atol=1e-5, rtol=0)
    moved = mean - mean @ erased.matrix().float()
    assert moved.norm() > 1e-2, "so that a map about zero would move it"


@pytest.mark.parametrize("fit", [fit_sal, fit_leace])
def test_maps_are_idempotent(world, fit):
    L = fit(moments_of(*world), metadata={}).matrix()
    torch.testing.assert_close(L @ L, L, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fit", [fit_sal, fit_leace])
@pytest.mark.parametrize(("order", "rank"), [(1, 3), (2, 8), (3, 15), (4, 24)])
def test_as_many_directions_go_as_there_are_targets(fit, order, rank):
    features, _ = features_with_position(images=40, dim=32)
    erased = fit(moments_of(*flat(features, fourier((6, 6), order=order)[None])), metadata={})
    L = erased.matrix()
    assert erased.rank == rank
    # an oblique projector has eigenvalues 0 and 1 as well, but small singular values beside 0
    torch.testing.assert_close(L.trace(), torch.tensor(32.0 - rank).double(), atol=1e-5, rtol=0)
    assert torch.linalg.matrix_rank(L, tol=1e-5) == 32 - rank
    torch.testing.assert_close(L @ L, L, atol=1e-6, rtol=0)


def test_sal_is_an_orthogonal_projector(world):
    L = fit_sal(moments_of(*world), metadata={}).matrix()
    torch.testing.assert_close(L, L.T, atol=1e-6, rtol=0)


def test_leace_equals_whitening_projecting_unwhitening():
    draw = torch.Generator().manual_seed(0)
    mixing = torch.eye(8) + 0.3 * torch.randn(8, 8, generator=draw)
    features = torch.randn(500, 8, generator=draw) @ mixing
    targets = torch.sigmoid(features[:, :2] + torch.randn(500, 2, generator=draw))
    erased = fit_leace(moments_of(features, targets), metadata={})(features)
    expected = reference.leace(features.double().numpy(), targets.double().numpy())
    np.testing.assert_allclose(erased, expected, atol=1e-4)


def test_leace_moves_tokens_less_than_sal(world):
    moments = moments_of(*world)
    leace, sal = (fit(moments, metadata={}) for fit in (fit_leace, fit_sal))
    assert energy_removed(moments, leace) < energy_removed(moments, sal)


def test_a_thinned_covariance_leaves_leace_clean(world):
    features, targets = world
    erased = fit_leace(moments_of(features, targets, covariance_stride=20), metadata={})
    whole = moments_of(features, targets).mapped(erased)
    assert whole.cross_covariance().abs().max() < 1e-6


def test_two_fits_are_the_same_bits(world):
    first, second = (fit_leace(moments_of(*world), metadata={}) for _ in range(2))
    assert torch.equal(first.A, second.A)
    assert torch.equal(first.B, second.B)


def test_fourier_targets_leave_no_spatial_pattern_up_to_their_order():
    features, _ = features_with_position(dim=32)
    patterns = fourier((6, 6), order=3)[None]
    moments = moments_of(*flat(features, patterns))
    erased = fit_leace(moments, metadata={})
    assert erased.rank == 15
    assert moments.mapped(erased).cross_covariance().abs().max() < 1e-6


def test_constant_and_dependent_targets_are_refused(world):
    features, targets = world
    constant = torch.cat([targets, torch.full_like(targets[:, :1], 0.5)], dim=1)
    with pytest.raises(ValueError, match="target 3 of 3 is constant"):
        fit_leace(moments_of(features, constant), metadata={})
    dependent = torch.cat([targets, targets.mean(1, keepdim=True)], dim=1)
    with pytest.raises(ValueError, match="span fewer than 3 directions"):
        fit_sal(moments_of(features.double(), dependent.double()), metadata={})


def test_more_targets_than_dimensions_are_refused():
    draw = torch.Generator().manual_seed(0)
    moments = moments_of(torch.randn(50, 2, generator=draw), torch.rand(50, 3, generator=draw))
    with pytest.raises(ValueError, match="cannot take 3 directions out of 2"):
        fit_leace(moments, metadata={})
