"""KoLeo: the released values and gradients, duplicates, precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.losses.koleo import koleo_loss
from tests.franca.train.processes import run_together

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "losses.npz", allow_pickle=False)


@pytest.mark.parametrize("case", ["base", "two"])
def test_value_and_gradient_equal_the_released_code(case):
    x = torch.from_numpy(ORACLE[f"in/koleo/{case}/x"]).requires_grad_()
    loss = koleo_loss(x)
    loss.backward()
    expected = torch.from_numpy(ORACLE[f"out/koleo/{case}/loss"])
    assert_close(loss, expected, atol=1e-5, rtol=5e-5)
    expected = torch.from_numpy(ORACLE[f"out/koleo/{case}/grad_x"])
    assert_close(x.grad, expected, atol=1e-5, rtol=5e-5)


def test_duplicates_with_the_released_eps():
    x = torch.from_numpy(ORACLE["in/koleo/dup/x"])
    expected = torch.from_numpy(ORACLE["out/koleo/dup/loss"])
    assert_close(koleo_loss(x, eps=1e-8), expected, atol=0, rtol=1e-3)


def test_duplicates_have_bounded_loss_and_gradient():
    x = torch.from_numpy(ORACLE["in/koleo/dup/x"]).requires_grad_()
    loss = koleo_loss(x)
    loss.backward()
    assert loss < -np.log(1e-6)
    assert x.grad.abs().max() < 1e6


def test_duplicates_in_half_precision_stay_finite():
    x = torch.ones(4, 8, dtype=torch.float16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = koleo_loss(x)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert x.grad.isfinite().all()


def test_autocast_changes_no_neighbour():
    torch.manual_seed(0)
    x = torch.randn(256, 3)  # so close that bfloat16 would take one neighbour for another
    expected = koleo_loss(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(koleo_loss(x), expected)


def test_length_of_features_does_not_matter():
    torch.manual_seed(0)
    x = torch.randn(6, 5)
    assert_close(koleo_loss(x), koleo_loss(x * torch.rand(6, 1).add(0.1)))


def test_spreading_lowers_the_loss():
    torch.manual_seed(0)
    x = torch.randn(8, 16)
    assert koleo_loss(x) < koleo_loss(x + 5)


def test_a_batch_of_one_costs_nothing():
    x = torch.randn(1, 4, requires_grad=True)
    loss = koleo_loss(x)
    loss.backward()
    assert loss == 0
    assert not x.grad.any()
    assert koleo_loss(x, group_size=2) == 0


def test_neighbours_are_looked_for_within_groups():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    alone = [koleo_loss(group) for group in x.split(3)]
    assert_close(koleo_loss(x, group_size=3), torch.stack(alone).mean())
    assert koleo_loss(x, group_size=3) < koleo_loss(x)


def loss_of_a_part(world, group_size):
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    mine = x.split(6)[world.rank].requires_grad_()
    loss = koleo_loss(mine, group_size=group_size, processes=world.group)
    loss.backward()
    return loss.item(), mine.grad.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("group_size", [None, 4, 3])
def test_two_processes_have_loss_and_gradient_of_the_whole_batch(group_size):
    """Groups of 4 of 12 images lie across the two processes; groups of 3 do not."""
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole = koleo_loss(x, group_size=group_size)
    whole.backward()
    losses, gradients = zip(*run_together(loss_of_a_part, 2, group_size), strict=True)
    assert sum(losses) / 2 == pytest.approx(whole.item(), rel=1e-6)
    mean_gradient = torch.tensor([row for part in gradients for row in part]) / 2
    assert_close(mean_gradient, x.grad, atol=1e-6, rtol=1e-5)
