"""From the parameters to the parts of a run: the numbers arrive where they belong."""

import math

import pytest
import torch

from franca.losses.centering import SoftmaxCentering
from franca.ssl.student_teacher import SinkhornBalancer
from franca.train.build import build_masks, build_schedules, build_student_optimizer
from tests.franca.train.recipes import build, recipe


def test_student_and_teacher_start_equal_and_apart():
    method = build(recipe())
    student, teacher = method.student.state_dict(), method.teacher.state_dict()
    assert all(torch.equal(student[name], teacher[name]) for name in student)
    assert not any(student[name].data_ptr() == teacher[name].data_ptr() for name in student)


def test_initial_weights_depend_on_the_seed_alone():
    first, again, other = build(recipe()), build(recipe()), build(recipe(), seed=1)
    name = "student.backbone.blocks.0.attn.qkv.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_the_two_heads_start_differently():
    method = build(recipe())
    name = "levels.0.mlp.0.weight"
    dino, ibot = (method.student.get_submodule(f"{part}_head") for part in ("dino", "ibot"))
    assert not torch.equal(dino.state_dict()[name], ibot.state_dict()[name])


def test_schedules_run_between_their_ends():
    cfg = recipe(steps=10)
    schedules = build_schedules(cfg)
    peak = cfg.schedule.base_learning_rate * math.sqrt(cfg.global_batch_size / 1024)
    assert schedules.at(0).learning_rate == 0
    assert schedules.at(cfg.schedule.warmup_steps).learning_rate == pytest.approx(peak)
    first, last = schedules.at(0), schedules.at(10)
    assert (first.momentum, last.momentum) == (0.9, 1.0)
    assert (first.weight_decay, last.weight_decay) == (pytest.approx(0.04), 0.2)
    assert (first.teacher_temperature, last.teacher_temperature) == (0.04, 0.07)
    rates = [schedules.at(step).last_layer_learning_rate for step in range(4)]
    assert rates[:3] == [0, 0, 0]
    assert rates[3] == schedules.at(3).learning_rate > 0


def test_masks_depend_on_seed_and_step_alone():
    cfg = recipe()
    masks = build_masks(cfg, seed=0)
    assert torch.equal(masks(3).masks, build_masks(cfg, seed=0)(3).masks)
    assert not torch.equal(masks(3).masks, masks(4).masks)
    assert not torch.equal(masks(3).masks, build_masks(cfg, seed=1)(3).masks)


@pytest.mark.parametrize("kind", ["cyclic", "inverse_block", "block"])
def test_each_kind_of_mask_masks_half_of_the_crops(kind):
    masks = build_masks(recipe(masking__kind=kind, global_batch_size=16), seed=0)(0).masks
    assert masks.shape == (32, 16)
    assert int(masks.any(dim=1).sum()) == 16


def test_an_inverse_block_never_leaves_the_crop():
    cfg = recipe(masking__kind="inverse_block", global_batch_size=64)
    crops = build_masks(cfg, seed=0)(0).masks.reshape(-1, 4, 4)
    wrapped = 0
    for visible in ~crops[crops.flatten(1).any(dim=1)]:
        rows = visible.any(dim=1).nonzero()[:, 0]
        wrapped += int(rows[-1] - rows[0] + 1 != len(rows))
    assert wrapped == 0


@pytest.mark.parametrize(
    ("targets", "kind"), [("sinkhorn", SinkhornBalancer), ("centering", SoftmaxCentering)]
)
def test_the_balancer_is_the_one_asked_for(targets, kind):
    method = build(recipe(objective__targets=targets))
    assert isinstance(method.balance, kind)


def test_the_optimizer_has_the_rates_of_the_recipe():
    cfg = recipe()
    method = build(cfg)
    multipliers = {
        parameter: group["treatment"].lr_multiplier
        for group in build_student_optimizer(cfg, method).param_groups
        for parameter in group["params"]
    }
    backbone = method.student.backbone
    assert multipliers[backbone.norm.weight] == 1
    assert multipliers[backbone.blocks[2].norm1.weight] == pytest.approx(0.9)
    assert multipliers[backbone.patch_embed.proj.weight] == pytest.approx(0.2 * 0.9**4)
    assert len(multipliers) == len(list(method.student.parameters()))
