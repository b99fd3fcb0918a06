from pathlib import Path

import numpy as np
import pytest
import torch

from franca.rasa.closed_form import fit_leace, fit_sal
from franca.rasa.diagnostics import energy_removed, linear_probe, mlp_probe
from franca.rasa.moments import moments_of
from franca.rasa.targets import position
from tests.franca.rasa.worlds import features_with_position

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "position.npz", allow_pickle=False)


def tokens(features, targets):
    return features.flatten(0, 1), targets.expand(len(features), -1, -1).flatten(0, 1)


@pytest.mark.parametrize(("case", "grid", "num_train"), [("main", 6, 10), ("one_image", 4, 1)])
def test_linear_probe_equals_least_squares(case, grid, num_train):
    features = torch.from_numpy(ORACLE[f"in/{case}/features"]).double()
    targets = position((grid, grid)).double()[None]
    train = moments_of(*tokens(features[:num_train], targets))
    test = moments_of(*tokens(features[num_train:], targets))
    probe = linear_probe(train, test)
    for name, value in [
        ("heldout_mse_row_col", probe.mse),
        ("heldout_r2_row_col", probe.r2),
        ("chance_mse_row_col", probe.chance_mse),
    ]:
        # atol of the oracle is 1e-8; its targets are float64, ours float32
        np.testing.assert_allclose(value, ORACLE[f"out/{case}/{name}"], atol=1e-6)


def test_mlp_sees_what_a_linear_probe_cannot():
    """Erase position linearly; the curved part of its trace still tells a small network."""
    train, test = (tokens(*features_with_position(images=60, seed=seed)) for seed in (1, 2))
    erased = fit_leace(moments_of(*train), metadata={})
    linear = linear_probe(moments_of(*train).mapped(erased), moments_of(*test).mapped(erased))
    network = mlp_probe(
        (erased(train[0]), train[1]),
        (erased(test[0]), test[1]),
        hidden=32,
        num_steps=200,
        batch_size=128,
        learning_rate=1e-2,
        seed=0,
    )
    assert max(linear.r2) < 0.02
    assert max(network.r2) > max(linear.r2) + 0.05


def test_mlp_probe_is_at_chance_on_noise():
    draw = torch.Generator().manual_seed(0)
    noise = [(torch.randn(2000, 4, generator=draw), torch.rand(2000, 1, generator=draw))] * 2
    held_out = (torch.randn(2000, 4, generator=draw), torch.rand(2000, 1, generator=draw))
    probe = mlp_probe(
        noise[0], held_out, hidden=8, num_steps=50, batch_size=256, learning_rate=1e-2, seed=0
    )
    assert abs(probe.r2[0]) < 0.05
    assert probe.chance_mse[0] == pytest.approx(1 / 12, abs=0.005)


def test_energy_removed_is_the_mean_square_change():
    features, targets = tokens(*features_with_position())
    moments = moments_of(features, targets)
    for fit in (fit_leace, fit_sal):
        erased = fit(moments, metadata={})
        change = (features - erased(features)).square().sum()
        spread = (features - features.mean(0)).square().sum()
        assert energy_removed(moments, erased) == pytest.approx((change / spread).item(), rel=1e-4)
