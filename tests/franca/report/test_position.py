"""Where patches seem to be: right when features say so, chance when they do not."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from franca.report.features import Samples
from franca.report.position import predict_positions, r_squared

GRID = (4, 6)


def make(patches):
    images = np.zeros((len(patches), 8, 8, 3), np.uint8)
    return Samples(images=images, patches=patches, grid=GRID, masks=images[..., 0])


def places():
    rows, columns = (np.linspace(0, 1, size) for size in GRID)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def test_features_that_hold_the_place_give_it_away():
    rng = np.random.default_rng(0)
    patches = places() @ rng.normal(size=(2, 8)) + rng.normal(0, 0.01, (5, 24, 8))
    predictions = predict_positions(make(patches))
    assert predictions.shape == (5, *GRID, 2)
    assert r_squared(predictions) > 0.98


def test_noise_gives_nothing_away():
    patches = np.random.default_rng(0).normal(size=(40, 24, 8))
    assert r_squared(predict_positions(make(patches))) == pytest.approx(0, abs=0.03)


def test_equals_a_ridge_regression_on_the_other_images():
    patches = np.random.default_rng(1).normal(size=(3, 24, 5)) + places().sum(1)[:, None]
    predictions = predict_positions(make(patches)).reshape(3, 24, 2)
    for held_out in range(3):
        others = np.delete(patches, held_out, axis=0).reshape(-1, 5)
        centred = others - others.mean(0)
        penalty = 1e-2 * np.trace(centred.T @ centred) / 5
        model = Ridge(alpha=penalty).fit(others, np.tile(places(), (2, 1)))
        assert np.allclose(predictions[held_out], model.predict(patches[held_out]))
