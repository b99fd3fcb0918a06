import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from franca.rasa.head import plane_of, predict, regression_loss, released_weights, remove_plane
from franca.rasa.linear_map import compose_planes
from franca.rasa.targets import position
from tests.reference import rasa as reference

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "rasa.npz", allow_pickle=False)
CASES = json.loads(str(ORACLE["meta"]))["settings"]
TOLERANCE = {"atol": 2e-5, "rtol": 2e-5}


def tensor(name):
    return torch.from_numpy(ORACLE[name])


def weights_of(case):
    return [tensor(f"in/{case}/W_{index}") for index in range(CASES[case]["rounds"])]


@pytest.mark.parametrize("case", CASES)
def test_every_round_equals_the_released_code(case):
    tokens = tensor(f"in/{case}/x")
    for number, weight in enumerate(weights_of(case), start=1):
        predicted = predict(tokens.flatten(0, 1), weight)
        wanted = ORACLE[f"out/{case}/prediction_round_{number}"]
        np.testing.assert_allclose(predicted.view(wanted.shape), wanted, **TOLERANCE)
        after = remove_plane(tokens, plane_of(weight))
        wanted = ORACLE[f"out/{case}/features_after_round_{number}"]
        np.testing.assert_allclose(after, wanted, **TOLERANCE)
        np.testing.assert_allclose(
            tokens - after, ORACLE[f"out/{case}/removed_in_round_{number}"], **TOLERANCE
        )
        tokens = after


@pytest.mark.parametrize("case", CASES)
def test_folded_map_equals_the_rounds_within_1e_5(case):
    composed = compose_planes([plane_of(weight) for weight in weights_of(case)], metadata={})
    np.testing.assert_allclose(
        composed.matrix().numpy(), ORACLE[f"out/{case}/composed_matrix"], **TOLERANCE
    )
    last = ORACLE[f"out/{case}/features_after_round_{CASES[case]['rounds']}"]
    np.testing.assert_allclose(composed(tensor(f"in/{case}/x")), last, atol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]["out"] == 2])
def test_loss_and_gradient_equal_the_released_code(case):
    rounds = CASES[case]["rounds"]
    name = f"in/{case}/x" if rounds == 1 else f"out/{case}/features_after_round_{rounds - 1}"
    tokens, weight = tensor(name).flatten(0, 1), weights_of(case)[-1].requires_grad_()
    places = position((CASES[case]["g"],) * 2)
    np.testing.assert_allclose(places, ORACLE[f"out/{case}/target"][0], **TOLERANCE)
    targets = places.repeat(CASES[case]["B"], 1)
    loss = regression_loss(tokens, weight, targets)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), ORACLE[f"out/{case}/mse_last_round"], **TOLERANCE)
    np.testing.assert_allclose(weight.grad, ORACLE[f"out/{case}/grad_W_last"], **TOLERANCE)
    loops = reference.mean_squared_error(tokens.numpy(), weight.detach().numpy(), targets.numpy())
    assert loss.item() == pytest.approx(loops, rel=1e-5)


def test_every_array_of_the_oracle_is_compared():
    kinds = {re.sub(r"_\d+$", "", name.split("/")[2]) for name in ORACLE if name.startswith("out/")}
    rounds = {"prediction_round", "features_after_round", "removed_in_round", "composed_matrix"}
    assert kinds == rounds | {"target", "mse_last_round", "grad_W_last"}


def test_plane_equals_the_loops():
    draw = torch.Generator().manual_seed(0)
    weight, tokens = torch.randn(2, 9, generator=draw), torch.randn(5, 9, generator=draw)
    np.testing.assert_allclose(
        remove_plane(tokens, plane_of(weight)),
        reference.remove_plane(tokens.numpy(), weight.numpy()),
        atol=1e-6,
    )


def test_plane_of_near_parallel_rows_is_orthonormal_to_the_last_digit():
    first, apart = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)).double()
    plane = plane_of(torch.stack([first, first + 1e-5 * apart]))
    torch.testing.assert_close(plane @ plane.T, torch.eye(2).double(), atol=1e-14, rtol=0)


def test_plane_beside_others_is_orthogonal_to_them():
    draw = torch.Generator().manual_seed(0)
    first = plane_of(torch.randn(2, 9, generator=draw))
    second = plane_of(torch.randn(2, 9, generator=draw), beside=first)
    both = torch.cat([first, second])
    torch.testing.assert_close(both @ both.T, torch.eye(4).double())


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [2.0, -4.0, 6.0]])
def test_dependent_regressors_are_refused(row):
    weight = torch.tensor([[1.0, -2.0, 3.0], row])
    with pytest.raises(ValueError, match="regressor of target 2 is zero or a combination"):
        plane_of(weight)


@pytest.mark.parametrize("prefix", ["", "rasa_head."])
@pytest.mark.parametrize("num_tensors", [9, 10])
def test_released_layout_loads_in_order(prefix, num_tensors):
    names = [f"pre_pos_layers.{index}.weight" for index in range(num_tensors - 1)]
    state = {
        f"{prefix}{name}": torch.full((2, 4), float(index))
        for index, name in enumerate([*names, "pos_pred.weight"])
    }
    shuffled = dict(sorted(state.items()))
    assert [weight[0, 0].item() for weight in released_weights(shuffled)] == [*range(num_tensors)]


def test_other_layouts_are_refused_by_name():
    state = {"pre_pos_layers.1.weight": torch.zeros(2, 4), "pos_pred.weight": torch.zeros(2, 4)}
    with pytest.raises(ValueError, match=r"pre_pos_layers\.0\.weight is missing or unknown"):
        released_weights(state)
