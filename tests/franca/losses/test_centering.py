"""Softmax centering: the released targets and the rules of the running mean."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.losses.centering import SoftmaxCentering
from tests.franca.train.processes import run_together

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "losses.npz", allow_pickle=False)


def test_three_batches_equal_the_released_code():
    centering = SoftmaxCentering([12], momentum=0.9)
    for call in range(3):
        logits = torch.from_numpy(ORACLE[f"in/center/teacher_{call}"])
        targets = centering([logits], temperature=0.05)[0]
        expected = torch.from_numpy(ORACLE[f"out/center/prob_{call}"])
        assert_close(targets, expected, atol=1e-5, rtol=5e-5)
    expected = torch.from_numpy(ORACLE["out/center/final_center"])
    assert_close(centering.centers[None], expected, atol=1e-5, rtol=5e-5)


def test_levels_have_their_own_centers():
    torch.manual_seed(0)
    logits = [torch.randn(5, 3), torch.randn(4, 2) + 1]
    together = SoftmaxCentering([3, 2], momentum=0.5)
    together(logits, temperature=0.1)
    for size, level, target in zip([3, 2], logits, together(logits, temperature=0.1), strict=True):
        alone = SoftmaxCentering([size], momentum=0.5)
        alone([level], temperature=0.1)
        assert torch.equal(target, alone([level], temperature=0.1)[0])


def test_no_rows_move_no_center():
    centering = SoftmaxCentering([3])
    centering([torch.ones(2, 3)], temperature=0.1)
    before = centering.centers.clone()
    assert centering([torch.ones(0, 3)], temperature=0.1)[0].shape == (0, 3)
    assert torch.equal(centering.centers, before)


def test_centers_are_saved_with_the_state():
    centering = SoftmaxCentering([3])
    centering([torch.randn(2, 3)], temperature=0.1)
    other = SoftmaxCentering([3])
    other.load_state_dict(centering.state_dict())
    assert torch.equal(other.centers, centering.centers)
    assert other.centers.any()


SIZES = (5, 2)  # rows of each process: not equally many


def batches_of_two_levels():
    draw = torch.Generator().manual_seed(0)
    return [[torch.randn(sum(SIZES), k, generator=draw) for k in (3, 2)] for _ in range(2)]


def center_a_part(world):
    first = sum(SIZES[: world.rank])
    here = slice(first, first + SIZES[world.rank])
    centering = SoftmaxCentering([3, 2], momentum=0.5)
    for batch in batches_of_two_levels():
        levels = [level[here] for level in batch]
        targets = centering(levels, temperature=0.1, group=world.group)
    return [level.tolist() for level in targets], centering.centers.tolist()


@pytest.mark.slow
def test_two_processes_have_the_centers_of_all_rows():
    alone = SoftmaxCentering([3, 2], momentum=0.5)
    for batch in batches_of_two_levels():
        expected = alone(batch, temperature=0.1)
    results = run_together(center_a_part, 2)
    for level, whole in enumerate(expected):
        pooled = torch.cat([torch.tensor(targets[level]) for targets, _ in results])
        assert_close(pooled, whole, atol=1e-6, rtol=1e-5)
    for _, centers in results:
        assert_close(torch.tensor(centers), alone.centers, atol=1e-6, rtol=1e-5)
