import math

import pytest
import torch
from safetensors.torch import load_file

from franca.rasa.batches import ArrayBatches, iterate
from franca.rasa.diagnostics import linear_probe
from franca.rasa.fit import fit_round, fit_rounds
from franca.rasa.linear_map import compose_planes, identity_map
from franca.rasa.moments import sum_moments
from tests.franca.rasa.worlds import features_with_position

SETTINGS = {"num_rounds": 3, "epochs": 2, "learning_rate": 2e-3, "seed": 0}


def batches(**world):
    features, targets = features_with_position(**world)
    return ArrayBatches(features, targets, batch_size=4, seed=0, shuffle=True)


def moments(batches):
    return sum_moments(iterate(batches, epochs=1))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("orthogonal", [False, True])
def test_a_killed_fit_goes_on_to_the_same_bytes(tmp_path, orthogonal):
    given = batches()
    fit_rounds(given, orthogonal=orthogonal, folder=tmp_path / "whole", **SETTINGS)
    interrupted = tmp_path / "interrupted"
    fit_rounds(given, orthogonal=orthogonal, folder=interrupted, **{**SETTINGS, "num_rounds": 1})
    (interrupted / "round-02.partial").write_bytes(b"killed while writing")
    fit_rounds(given, orthogonal=orthogonal, folder=interrupted, **SETTINGS)
    assert contents(interrupted) == contents(tmp_path / "whole")
    assert len(contents(interrupted)) == 3


def test_rounds_start_apart_as_linear_layers_do_and_stay_in_order(tmp_path):
    still = {**SETTINGS, "learning_rate": 1e-12}
    planes = fit_rounds(batches(), orthogonal=False, folder=tmp_path, **still)
    rounds = [load_file(file) for file in sorted(tmp_path.iterdir())]
    assert all(map(torch.equal, planes, [stored["plane"] for stored in rounds]))
    starts = torch.stack([stored["weight"] for stored in rounds])
    assert 0.9 / 16**0.5 < starts.abs().max() < 1 / 16**0.5  # U(+-1/sqrt(D))
    assert not torch.isclose(starts[0], starts[1]).any()


def test_orthogonal_rounds_start_at_zero(tmp_path):
    still = {**SETTINGS, "learning_rate": 1e-12}
    fit_rounds(batches(), orthogonal=True, folder=tmp_path, **still)
    for file in tmp_path.iterdir():
        assert load_file(file)["weight"].abs().max() < 1e-10


def test_a_finished_round_is_not_fitted_again(tmp_path):
    planes = fit_rounds(batches(), orthogonal=False, folder=tmp_path, **SETTINGS)
    other = fit_rounds(batches(seed=9), orthogonal=False, folder=tmp_path, **SETTINGS)
    assert all(map(torch.equal, planes, other))


@pytest.mark.parametrize("rounds", [1, 3, 8])  # 8 planes of 2 leave nothing of 16 dimensions
def test_orthogonal_rounds_make_an_orthogonal_projector(tmp_path, rounds):
    settings = {**SETTINGS, "num_rounds": rounds}
    planes = fit_rounds(batches(), orthogonal=True, folder=tmp_path, **settings)
    composed = compose_planes(planes, metadata={})
    L = composed.matrix()
    assert composed.rank == 2 * rounds
    assert torch.linalg.matrix_rank(L, tol=1e-5) == 16 - 2 * rounds
    torch.testing.assert_close(L @ L, L, atol=1e-6, rtol=0)
    torch.testing.assert_close(L, L.T, atol=1e-6, rtol=0)


def test_published_rounds_overlap(tmp_path):
    planes = fit_rounds(batches(), orthogonal=False, folder=tmp_path, **SETTINGS)
    L = compose_planes(planes, metadata={}).matrix()
    assert (L - L.T).abs().max() > 1e-3
    assert torch.linalg.matrix_rank(L, tol=1e-5) == 16 - 2


def test_orthogonal_rounds_take_more_position_away_than_published_ones(tmp_path):
    given = batches()
    longer = {**SETTINGS, "learning_rate": 2e-2, "epochs": 10}
    left = {}
    for orthogonal in (False, True):
        folder = tmp_path / str(orthogonal)
        planes = fit_rounds(given, orthogonal=orthogonal, folder=folder, **longer)
        after = moments(given).mapped(compose_planes(planes, metadata={}))
        left[orthogonal] = sum(linear_probe(after, after).r2)
    before = moments(given)
    assert left[True] < left[False] - 0.1 < sum(linear_probe(before, before).r2) - 0.1


def test_a_round_is_adam_without_decay_whose_rate_falls_along_a_cosine():
    given, epochs, rate = batches(images=12), 2, 0.05
    removed = compose_planes([torch.eye(16)[:2]], metadata={})
    start = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    fitted, _ = fit_round(
        given, removed=removed, start=start, epochs=epochs, learning_rate=rate, name="test"
    )
    weight, first, second = start.double(), 0, 0
    steps = epochs * given.num_batches
    for step in range(steps):
        z, y = given.batch(*divmod(step, given.num_batches))
        z = z.double() @ removed.matrix()
        guess = torch.sigmoid(z @ weight.T)
        gradient = ((guess - y) * guess * (1 - guess)).T @ z * 2 / y.numel()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        mean, square = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        falling = rate * (1 + math.cos(math.pi * step / steps)) / 2
        weight = weight - falling * mean / (square.sqrt() + 1e-8)
    assert torch.equal(fitted[:, :2], start[:, :2]), "nothing pulls at what is removed"
    assert (fitted - start)[:, 2:].abs().min() > rate / 2
    torch.testing.assert_close(fitted.double(), weight, atol=1e-5, rtol=1e-5)


def test_a_round_learns_to_predict():
    given = batches()
    start = torch.zeros(2, 16)
    untrained = 7 / 60  # chance on 6 cells, (g + 1) / (12 (g - 1)), is where sigmoid(0) stands
    _, loss = fit_round(
        given, removed=identity_map(16), start=start, epochs=20, learning_rate=2e-2, name="test"
    )
    assert loss < 0.5 * untrained


def test_a_single_target_removes_a_single_direction(tmp_path):
    features, targets = features_with_position()
    rows = ArrayBatches(features, targets[..., :1], batch_size=4, seed=0, shuffle=False)
    planes = fit_rounds(rows, orthogonal=True, folder=tmp_path, **SETTINGS)
    assert compose_planes(planes, metadata={}).rank == 3


def test_rank_above_the_dimension_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot take 18 directions out of 16"):
        fit_rounds(batches(), orthogonal=False, folder=tmp_path, **{**SETTINGS, "num_rounds": 9})
    assert not list(tmp_path.iterdir())


def test_fewer_tokens_than_dimensions_are_refused(tmp_path):
    few = batches(images=4, grid=(2, 2), dim=16)
    with pytest.raises(ValueError, match=r"16 tokens cannot say what 16 dimensions hold.*max_im"):
        fit_rounds(few, orthogonal=True, folder=tmp_path, **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_features_that_turn_bad_later_are_refused(tmp_path):
    """NaN that a source shows after the first batch reaches the loss and stops the fit."""
    given = batches()

    class Spoilt:
        dim, num_targets, num_batches = given.dim, given.num_targets, given.num_batches

        def batch(self, epoch, index):
            tokens, targets = given.batch(epoch, index)
            return (tokens * torch.nan if epoch == 1 else tokens), targets

    with pytest.raises(ValueError, match="loss became nan"):
        fit_rounds(Spoilt(), orthogonal=False, folder=tmp_path, **SETTINGS)


def test_targets_that_a_sigmoid_cannot_reach_are_refused(tmp_path):
    features, targets = features_with_position()
    wide = ArrayBatches(features, 2 * targets, batch_size=4, seed=0, shuffle=False)
    with pytest.raises(ValueError, match="targets reach from 0 to 2"):
        fit_rounds(wide, orthogonal=False, folder=tmp_path, **SETTINGS)


def test_a_diverging_fit_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"loss became nan: lower rasa\.presets"):
        fit_rounds(
            batches(),
            orthogonal=False,
            folder=tmp_path,
            **{**SETTINGS, "learning_rate": float("inf")},
        )
