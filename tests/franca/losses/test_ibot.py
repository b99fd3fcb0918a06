"""iBOT loss: the released values and gradients, and the weight of each crop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.losses.ibot import ibot_loss

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "losses.npz", allow_pickle=False)
LEVELS = {"base": 5, "padded": 2, "none_masked": 1, "one_all": 1}


def as_projected(logits):
    """Logits are the projection of themselves on unit vectors."""
    return logits.requires_grad_(), torch.eye(logits.shape[1])


def stored_loss(case, **options):
    """The loss of what is stored, the student's logits, and how many rows count."""
    masks = torch.from_numpy(ORACLE[f"in/ibot/{case}/masks"])
    weights = torch.from_numpy(ORACLE[f"out/ibot/{case}/masks_weight"])
    count = int(masks.sum())  # 'padded' has rows after these, which the reference cuts off
    levels = range(LEVELS[case])
    student = [
        as_projected(torch.from_numpy(ORACLE[f"in/ibot/{case}/student_{i}"])[:count])
        for i in levels
    ]
    teacher = [torch.from_numpy(ORACLE[f"in/ibot/{case}/teacher_prob_{i}"])[:count] for i in levels]
    loss = ibot_loss(
        masked_patches=student,
        targets=teacher,
        token_weights=weights,
        num_crops=len(masks),
        **options,
    )
    return loss, student, count


@pytest.mark.parametrize("case", LEVELS)
@pytest.mark.parametrize("max_logits", [10**6, 1])
def test_values_and_gradients_equal_the_released_code(case, max_logits):
    levels = range(LEVELS[case])
    loss, student, count = stored_loss(
        case, level_weights=[1.0] * len(levels), max_logits=max_logits
    )
    # Its caller scales by 2 * 0.5; the weights that it makes where it is given none are ours.
    for name in ("scaled", "raw", *(() if case == "padded" else ("raw_weight_none",))):
        expected = torch.from_numpy(ORACLE[f"out/ibot/{case}/{name}"])
        assert_close(loss, expected, atol=1e-5, rtol=5e-5)
    loss.backward()
    for level, (logits, _) in zip(levels, student, strict=True):
        expected = torch.from_numpy(ORACLE[f"out/ibot/{case}/grad_student_{level}"])
        assert not expected[count:].any()
        assert_close(logits.grad, expected[:count], atol=1e-5, rtol=5e-5)


@pytest.mark.parametrize("case", [case for case in LEVELS if case != "padded"])
def test_the_finest_level_alone_has_the_value_of_dinov2(case):
    loss, _, _ = stored_loss(case, level_weights=[0.0] * (LEVELS[case] - 1) + [1.0])
    expected = torch.from_numpy(ORACLE[f"out/ibot/{case}/dinov2_last_raw"])
    assert_close(loss, expected, atol=1e-5, rtol=5e-5)


def test_each_masked_crop_counts_once_whatever_its_number_of_masked_patches():
    """Uniform targets and equal logits: every cross-entropy is log K."""
    counts = torch.tensor([1, 5, 2])
    weights = (1 / counts).repeat_interleave(counts)
    loss = ibot_loss(
        masked_patches=[as_projected(torch.zeros(8, 16))],
        targets=[torch.full((8, 16), 1 / 16)],
        token_weights=weights,
        num_crops=6,
        level_weights=[1.0],
    )
    assert_close(loss, 3 / 6 * torch.tensor(16.0).log())
