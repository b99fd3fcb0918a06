"""The state as named tensors: complete, exact, and refused where it does not fit."""

import pytest
import torch

from franca.train.loop import train
from franca.train.state import collect_state, load_teacher, restore_moments, restore_state
from tests.franca.train.recipes import recipe, training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = training(recipe(steps=3), tmp_path_factory.mktemp("work"))
    train(run)
    return run


def test_every_parameter_has_its_moments_and_a_readable_name(trained):
    state = collect_state(trained.method, trained.optimizer)
    for name, parameter in trained.method.student.named_parameters():
        assert torch.equal(state[f"student.{name}"], parameter)
        assert state[f"optimizer.exp_avg.{name}"].shape == parameter.shape
    assert state["optimizer.step.backbone.cls_token"] == 3
    assert {name.split(".")[0] for name in state} == {"student", "teacher", "optimizer"}


def test_a_restored_run_is_the_run(trained, tmp_path):
    state = {k: v.clone() for k, v in collect_state(trained.method, trained.optimizer).items()}
    fresh = training(recipe(steps=3), tmp_path, seed=1)
    restore_state(fresh.method, fresh.optimizer, state)
    again = collect_state(fresh.method, fresh.optimizer)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_the_state_of_another_model_is_refused(trained, tmp_path):
    state = collect_state(trained.method, trained.optimizer)
    head = {**recipe().dino_head.model_dump(), "hidden_dim": 8}
    other = training(recipe(dino_head=head), tmp_path)
    with pytest.raises(ValueError, match="does not fit the model in the parameters") as caught:
        restore_state(other.method, other.optimizer, state)
    assert "mlp.0.bias (16,) instead of (8,)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_that_lacks_a_tensor_is_refused_by_its_name(trained, tmp_path):
    state = collect_state(trained.method, trained.optimizer)
    del state["teacher.backbone.norm.bias"]
    other = training(recipe(steps=3), tmp_path)
    with pytest.raises(ValueError, match=r"\(missing: teacher.backbone.norm.bias\): train from"):
        restore_state(other.method, other.optimizer, state)


def test_the_teacher_starts_both_networks(trained, tmp_path):
    state = collect_state(trained.method, trained.optimizer)
    fresh = training(recipe(), tmp_path, seed=1)
    load_teacher(fresh.method, state, with_heads=True)
    for networks in (fresh.method.student, fresh.method.teacher):
        for name, weights in networks.state_dict().items():
            assert torch.equal(weights, state[f"teacher.{name}"]), name


def test_moments_of_another_shape_start_anew(trained, tmp_path):
    state = collect_state(trained.method, trained.optimizer)
    fresh = training(recipe(augment__global_crops={"size": 48, "scale": (0.4, 1.0)}), tmp_path)
    restore_moments(fresh.method, fresh.optimizer, state)
    backbone = fresh.method.student.backbone
    assert backbone.pos_embed not in fresh.optimizer.state
    moments = fresh.optimizer.state[backbone.cls_token]
    assert torch.equal(moments["exp_avg"], state["optimizer.exp_avg.backbone.cls_token"])


def test_moments_are_copies(trained, tmp_path):
    state = collect_state(trained.method, trained.optimizer)
    fresh = training(recipe(), tmp_path)
    restore_moments(fresh.method, fresh.optimizer, state)
    moments = fresh.optimizer.state[fresh.method.student.backbone.cls_token]
    for moment, tensor in moments.items():
        tensor.add_(1.0)
        assert not torch.equal(tensor, state[f"optimizer.{moment}.backbone.cls_token"]), moment
