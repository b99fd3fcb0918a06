"""Closed-form ridge against scikit-learn and torch's least squares."""

import pytest
import torch
from sklearn.linear_model import Ridge

from franca.eval.regression import fit_ridge, moments, solve_ridge


def toy(images=12, seed=0):
    source = torch.Generator().manual_seed(seed)
    features = torch.randn(images, 9, 5, generator=source) + 2
    slope = torch.randn(5, 2, generator=source)
    return features, features @ slope + torch.randn(images, 9, 2, generator=source)


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 1.0])
def test_equals_scikit_learn(penalty):
    features, targets = toy()
    x, y = features.flatten(0, 1).double(), targets.flatten(0, 1).double()
    found = solve_ridge(moments(features, targets), penalty=penalty)
    alpha = penalty * float(x.var(0, correction=0).mean()) * len(x)
    reference = Ridge(alpha=alpha, solver="svd").fit(x.numpy(), y.numpy())
    torch.testing.assert_close(found.weights.T, torch.from_numpy(reference.coef_))
    torch.testing.assert_close(found(x), torch.from_numpy(reference.predict(x.numpy())))


def test_scale_of_the_features_does_not_matter():
    features, targets = toy()
    small = solve_ridge(moments(features / 1000, targets), penalty=0.1)
    large = solve_ridge(moments(features, targets), penalty=0.1)
    torch.testing.assert_close(small(features[0] / 1000), large(features[0]), rtol=1e-5, atol=1e-5)


def test_redundant_features_are_harmless():
    features, targets = toy()
    doubled = torch.cat([features, features], dim=2)
    once = solve_ridge(moments(features, targets), penalty=0.0)
    twice = solve_ridge(moments(doubled, targets), penalty=0.0)
    torch.testing.assert_close(once(features[0]), twice(doubled[0]))


def test_penalty_is_chosen_on_images_that_were_not_fitted():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(11, 2, 40, generator=source)
    noise = torch.randn(11, 2, 1, generator=source)  # nothing to learn: shrink as far as possible
    assert fit_ridge(features, noise, penalties=[1e-6, 1e3])[1] == 1e3
    exact = features[..., :1]
    assert fit_ridge(features, exact, penalties=[1e3, 1e-6])[1] == 1e-6


def test_one_image_takes_the_first_penalty():
    features, targets = toy(images=1)
    assert fit_ridge(features, targets, penalties=[0.5, 1.0])[1] == 0.5


def test_nothing_to_regress_on_is_refused():
    features, targets = toy()
    with pytest.raises(ValueError, match="no valid target"):
        moments(features, targets * torch.nan)
