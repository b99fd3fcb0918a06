"""The cost of a recipe is that of the networks which the recipe builds."""

import pytest

from franca.train.cost import step_cost
from tests.franca.train.recipes import build, recipe


@pytest.mark.parametrize("mode", ["slice", "project"])
def test_parameters_are_those_of_the_built_student(mode):
    cfg = recipe(dino_head__mode=mode, model__registers=2)
    cost, student = step_cost(cfg), build(cfg).student
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in
             student.named_children()}  # fmt: skip
    assert cost.backbone_parameters == parts.pop("backbone")
    assert cost.head_parameters == sum(parts.values())


def test_every_setting_that_costs_is_handed_on():
    before = sum(step_cost(recipe()).flops.values())
    for changes in (
        {"masking__ratio": (0.3, 0.9)},
        {"masking__probability": 1.0},
        {"augment__local_crops": {"size": 16, "scale": (0.1, 0.4), "count": 4}},
        {"augment__local_crops": {"size": 24, "scale": (0.1, 0.4), "count": 2}},
        {"augment__global_crops": {"size": 48, "scale": (0.4, 1.0)}},
        {"dino_head__hidden_dim": 32},
        {"ibot_head__num_prototypes": 64},
        {"model__registers": 4},
    ):
        assert sum(step_cost(recipe(**changes)).flops.values()) > before, changes
    skipping = step_cost(recipe(model__drop_path=0.4))
    assert sum(skipping.flops.values()) < before
    assert step_cost(recipe(run__precision="bf16")).precision == "bf16"


def test_the_masked_share_is_that_of_masked_crops_times_the_mean_ratio():
    cfg = recipe(masking__probability=0.5, masking__ratio=(0.2, 0.6))
    assert step_cost(cfg).masked_share == pytest.approx(0.5 * 0.4)
