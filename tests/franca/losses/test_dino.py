"""DINO loss: the released values and gradients, and which pairs of views count."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.losses.dino import dino_loss

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "losses.npz", allow_pickle=False)
SHAPES = {"base": (5, 5), "single": (1, 1)}  # batch, levels


def array(name):
    return torch.from_numpy(ORACLE[f"in/dino/{name}"])


def as_projected(logits):
    """Logits are the projection of themselves on unit vectors."""
    return logits.requires_grad_(), torch.eye(logits.shape[1])


def stored_loss(case, **options):
    """The loss of what is stored, and the student's logits of local and of global crops."""
    batch, levels = SHAPES[case]
    local = [as_projected(array(f"{case}/student_local_{i}")) for i in range(levels)]
    both = [as_projected(array(f"{case}/student_global_{i}")) for i in range(levels)]
    # Stored in the order in which the global term uses them: second view first.
    stored = [array(f"{case}/teacher_prob_{i}") for i in range(levels)]
    loss = dino_loss(
        global_crops=both,
        local_crops=local,
        targets=[target.unflatten(0, (2, batch)).flip(0) for target in stored],
        **options,
    )
    return loss, local, both


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("max_logits", [10**6, 1])
def test_values_and_gradients_equal_the_released_code(case, max_logits):
    batch, levels = SHAPES[case]
    loss, local, both = stored_loss(case, level_weights=[1.0] * levels, max_logits=max_logits)
    for term, name in [(loss.local_crops, "local"), (loss.global_crops, "global")]:
        expected = torch.from_numpy(ORACLE[f"out/dino/{case}/{name}_scaled"])
        assert_close(term, expected, atol=1e-5, rtol=5e-5)
        # What the criterion returns before its caller divides by the pairs of views.
        pairs = 2 + 2 * len(local[0][0]) // batch
        factor = 2 if name == "global" else 1
        raw = torch.from_numpy(ORACLE[f"out/dino/{case}/{name}_raw"])
        assert_close(term * pairs / factor, raw, atol=1e-5, rtol=5e-5)
    (loss.local_crops + loss.global_crops).backward()
    for level in range(levels):
        for (logits, _), name in [(local[level], "local"), (both[level], "global")]:
            expected = ORACLE[f"out/dino/{case}/grad_student_{name}_{level}"]
            assert_close(logits.grad, torch.from_numpy(expected), atol=1e-5, rtol=5e-5)


@pytest.mark.parametrize("case", SHAPES)
def test_the_finest_level_alone_has_the_value_of_dinov2(case):
    """Which returns sums over pairs of views; here each pair has its share of 2 + 2 * locals."""
    levels = SHAPES[case][1]
    loss, local, _ = stored_loss(case, level_weights=[0.0] * (levels - 1) + [1.0])
    pairs = 2 + 2 * len(local[-1][0]) // SHAPES[case][0]
    for term, name, factor in [(loss.local_crops, "local", 1), (loss.global_crops, "global", 2)]:
        expected = torch.from_numpy(ORACLE[f"out/dino/{case}/dinov2_{name}_last_raw"])
        assert_close(term, expected * factor / pairs, atol=1e-5, rtol=5e-5)


def loss_of(*, num_local=0, level_weights=(1.0,), seed=0):
    torch.manual_seed(seed)
    batch, prototypes = 3, 4
    levels = len(level_weights)
    return dino_loss(
        global_crops=[as_projected(torch.randn(2 * batch, prototypes)) for _ in range(levels)],
        local_crops=[
            as_projected(torch.randn(num_local * batch, prototypes)) for _ in range(levels)
        ],
        targets=[torch.randn(2, batch, prototypes).softmax(-1) for _ in range(levels)],
        level_weights=level_weights,
    )


def test_a_view_never_predicts_its_own_target():
    batch = 4
    targets = torch.eye(8)[:4].repeat(2, 1, 1)
    targets[1] = torch.eye(8)[4:]  # the two views have different prototypes
    own_view = 50 * targets.flatten(0, 1)
    other_view = 50 * targets.flip(0).flatten(0, 1)
    nothing = [as_projected(torch.zeros(0, 8))]

    def loss(logits):
        return dino_loss(
            global_crops=[as_projected(logits)],
            local_crops=nothing,
            targets=[targets],
            level_weights=[1.0],
        ).global_crops

    assert loss(other_view) < 1e-4
    assert loss(own_view) > 100
    assert batch == targets.shape[1]


def test_without_local_crops_only_the_global_term_is_left():
    loss = loss_of(num_local=0)
    assert loss.local_crops == 0
    assert loss.global_crops > 0


def test_every_pair_of_views_has_the_same_weight():
    """With uniform targets and equal logits every cross-entropy is log K, and so is their mean."""
    targets = [torch.full((2, 3, 16), 1 / 16)]
    loss = dino_loss(
        global_crops=[as_projected(torch.zeros(6, 16))],
        local_crops=[as_projected(torch.zeros(8 * 3, 16))],
        targets=targets,
        level_weights=[1.0],
    )
    log_k = torch.tensor(16.0).log()
    assert_close(loss.local_crops, log_k * 16 / 18)
    assert_close(loss.global_crops, log_k * 2 / 18)


def test_level_weights_scale_levels():
    single = loss_of(num_local=1, level_weights=(1.0,))
    doubled = loss_of(num_local=1, level_weights=(2.0,))
    assert_close(doubled.local_crops, 2 * single.local_crops)
    silent = loss_of(num_local=1, level_weights=(0.0, 0.0))
    assert silent.local_crops == silent.global_crops == 0
