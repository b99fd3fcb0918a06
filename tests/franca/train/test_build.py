"""From the parameters to the parts of a run: the numbers arrive where they belong."""

import dataclasses
import math

import pytest
import torch

from franca.data.shards import ShardDataset
from franca.losses.centering import SoftmaxCentering
from franca.ssl.student_teacher import SinkhornBalancer
from franca.train.build import (
    build_masks,
    build_schedules,
    build_student_optimizer,
    build_training,
)
from tests.franca.data.conftest import jpeg, pack
from tests.franca.train.recipes import ALONE, build, recipe, training


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


def masks_of(cfg, *, seed=0, step=0):
    return build_masks(cfg, seed=seed)(step, range(cfg.global_batch_size)).masks


def test_masks_depend_on_seed_and_step_alone():
    cfg = recipe()
    assert torch.equal(masks_of(cfg, step=3), masks_of(cfg, step=3))
    assert not torch.equal(masks_of(cfg, step=3), masks_of(cfg, step=4))
    assert not torch.equal(masks_of(cfg, step=3), masks_of(cfg, seed=1, step=3))


@pytest.mark.parametrize("group", [None, 4])
def test_masks_of_a_share_are_those_it_has_in_the_batch(group):
    cfg = recipe(global_batch_size=12, images_per_group=group, masking__padded=True)
    masks = build_masks(cfg, seed=0)
    batch = masks(2, range(12))
    for share in (range(6), range(6, 12), range(4, 8), range(11, 12)):
        whole, alone = batch.of_images(share, num_images=12), masks(2, share)
        assert torch.equal(alone.masks, whole.masks)
        assert torch.equal(alone.rows, whole.rows)


def test_every_group_masks_its_half_over_the_whole_range_of_shares():
    """As on every GPU of the released code, whose batch is such a group."""
    cfg = recipe(
        global_batch_size=32,
        images_per_group=8,
        masking__counts="upper",
        masking__ratio=(0.0, 0.5),
        augment__global_crops={"size": 64, "scale": (0.4, 1.0)},
    )
    views = masks_of(cfg).unflatten(0, (2, 4, 8))
    for group in range(4):
        counts = views[:, group].sum(dim=2).flatten().sort().values
        assert counts[:8].tolist() == [0] * 8
        assert counts[8:].tolist() == [4, 8, 12, 16, 20, 24, 28, 32]


@pytest.mark.parametrize("kind", ["cyclic", "inverse_block", "block"])
def test_each_kind_of_mask_masks_half_of_the_crops(kind):
    masks = masks_of(recipe(masking__kind=kind, global_batch_size=16))
    assert masks.shape == (32, 16)
    assert int(masks.any(dim=1).sum()) == 16


def test_an_inverse_block_never_leaves_the_crop():
    cfg = recipe(masking__kind="inverse_block", global_batch_size=64)
    crops = masks_of(cfg).reshape(-1, 4, 4)
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
    groups = build_student_optimizer(cfg, method).param_groups
    assert {group["betas"] for group in groups} == {(0.9, 0.99)}
    multipliers = {
        parameter: group["treatment"].lr_multiplier
        for group in groups
        for parameter in group["params"]
    }
    backbone = method.student.backbone
    assert multipliers[backbone.norm.weight] == 1
    assert multipliers[backbone.blocks[2].norm1.weight] == pytest.approx(0.9)
    assert multipliers[backbone.patch_embed.proj.weight] == pytest.approx(0.2 * 0.9**4)
    assert len(multipliers) == len(list(method.student.parameters()))


@pytest.mark.parametrize("group", [None, 2])
def test_a_run_is_what_the_recipe_says(tmp_path, group):
    cfg = recipe(images_per_group=group)
    shards = pack(tmp_path / "shards", {f"{index:04d}": jpeg(seed=index) for index in range(4)})
    expected = training(cfg, tmp_path, kept_steps=(0, 6))
    run = build_training(
        cfg,
        world=ALONE,
        method=expected.method,
        optimizer=expected.optimizer,
        images=ShardDataset(shards),
        seed=0,
        steps=range(6),
        kept_steps=(0, 6),
        work=tmp_path,
        logs=tmp_path / "logs",
        stop=expected.stop,
    )
    assert run.depth_group == (group or 4)
    made_here = {"batches": run.batches, "masks": run.masks}  # functions, which equal themselves
    assert run == dataclasses.replace(expected, **made_here)
