"""One update: gradients of parts are those of the whole, and what is done with them."""

import contextlib

import pytest
import torch
from torch.testing import assert_close

from franca.train.build import build_schedules, build_student_optimizer
from franca.train.step import make_gradients, update
from tests.franca.train.recipes import IN_PARTS, build, parts_of, recipe

CONFIG = recipe(**IN_PARTS)


def gradients(method, *, images_at_once):
    """Make the gradients of a batch that the student sees in parts; return its losses."""
    return make_gradients(
        method,
        parts_of(CONFIG, images_at_once=images_at_once),
        teacher_temperature=0.05,
        precision=contextlib.nullcontext,
    )


@pytest.mark.parametrize("images_at_once", [4, 2])
def test_parts_have_the_losses_and_the_gradients_of_the_whole(images_at_once):
    whole, parts = build(CONFIG), build(CONFIG)
    expected = gradients(whole, images_at_once=8)
    found = gradients(parts, images_at_once=images_at_once)
    assert_close(found.total, expected.total, atol=1e-5, rtol=1e-6)
    assert_close(found.terms, expected.terms, atol=1e-5, rtol=1e-6)
    for ours, theirs in zip(parts.student.parameters(), whole.student.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_gradients_of_the_step_before_are_gone_and_the_teacher_has_none():
    once, twice = build(CONFIG), build(CONFIG)
    gradients(once, images_at_once=8)
    for _ in range(2):
        gradients(twice, images_at_once=8)
    for ours, theirs in zip(twice.student.parameters(), once.student.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert all(parameter.grad is None for parameter in twice.teacher.parameters())


def test_the_update_clips_each_part_and_then_moves_student_and_teacher():
    method = build(CONFIG)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    gradients(method, images_at_once=8)
    optimizer, settings = build_student_optimizer(CONFIG, method), build_schedules(CONFIG).at(3)
    norms = update(method, optimizer, settings, clip_norm=0.01)
    assert set(norms) == {"backbone", "dino_head", "ibot_head"}
    for name, part in method.student_parts.items():
        clipped = torch.stack([p.grad.norm() for p in part.parameters()]).norm()
        assert norms[name] > 0.01, "so that there is something to clip"
        assert_close(clipped, torch.tensor(0.01), atol=1e-6, rtol=1e-3)
    after = method.state_dict()
    for name in (name for name, _ in method.student.named_parameters()):
        old, new = before[f"student.{name}"], after[f"student.{name}"]
        mean = settings.momentum * before[f"teacher.{name}"] + (1 - settings.momentum) * new
        assert_close(after[f"teacher.{name}"], mean)
        assert not torch.equal(new, old), name


def test_what_all_processes_say_of_the_norms_is_what_is_clipped_by():
    alone, together = build(CONFIG), build(CONFIG)
    for method in (alone, together):
        gradients(method, images_at_once=8)
    settings = build_schedules(CONFIG).at(3)
    twice = {"norm_of_all": lambda norms: 2 * norms}
    for method, options in ((alone, {}), (together, twice)):
        optimizer = build_student_optimizer(CONFIG, method)
        update(method, optimizer, settings, clip_norm=0.01, **options)
    for ours, theirs in zip(together.student.parameters(), alone.student.parameters(), strict=True):
        assert_close(2 * ours.grad, theirs.grad, atol=1e-8, rtol=1e-3)
