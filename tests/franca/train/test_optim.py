"""Parameter groups against the released code's; rates and clipping on a two-layer student."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from franca.train.optim import apply_settings, build_optimizer, clip_gradients, treatment
from franca.train.schedules import StepSettings

ORACLE = Path(__file__).parents[2] / "oracles" / "schedules.npz"


@pytest.mark.parametrize("case", ["vit_chunked", "vit_flat", "head"])
def test_multipliers_equal_the_released_code(case):
    with np.load(ORACLE, allow_pickle=False) as oracle:
        settings = json.loads(str(oracle["meta"]))["settings"]["groups"][case]
        columns = ["names", "lr_multiplier", "wd_multiplier", "is_last_layer"]
        rows = list(zip(*[oracle[f"out/groups/{case}/{c}"] for c in columns], strict=True))
    for name, rate, decay, last in rows:
        how = treatment(
            str(name),
            depth=settings.get("depth"),
            layer_decay=settings["decay"],
            patch_embed_multiplier=settings["pe"],
        )
        assert how.lr_multiplier == pytest.approx(float(rate), rel=1e-12), name
        assert (how.decays, how.last_layer) == (bool(decay), bool(last)), name


def student():
    torch.manual_seed(0)
    backbone = nn.ModuleDict({"patch_embed": nn.Linear(3, 4), "norm": nn.LayerNorm(4)})
    head = nn.ModuleDict({"mlp": nn.Linear(4, 4), "last_layer": nn.Linear(4, 2, bias=False)})
    return {"backbone": backbone, "dino_head": head}


def optimizer_of(parts):
    return build_optimizer(
        parts, depth=3, layer_decay=0.5, patch_embed_multiplier=0.2, betas=(0.9, 0.999)
    )


def test_settings_reach_every_parameter_with_its_multiplier():
    parts = student()
    optimizer = optimizer_of(parts)
    apply_settings(
        optimizer,
        StepSettings(
            learning_rate=1.0,
            last_layer_learning_rate=0.0,
            weight_decay=0.1,
            momentum=0.9,
            teacher_temperature=0.07,
        ),
    )
    applied = {
        parameter: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    low = 0.2 * 0.5**4
    assert applied[parts["backbone"]["patch_embed"].weight] == (low, 0.1)
    assert applied[parts["backbone"]["patch_embed"].bias] == (low, 0.0)
    assert applied[parts["backbone"]["norm"].weight] == (1.0, 0.0)
    assert applied[parts["dino_head"]["mlp"].weight] == (1.0, 0.1)
    assert applied[parts["dino_head"]["last_layer"].weight] == (0.0, 0.1)


def test_a_burst_in_one_submodule_leaves_the_other_alone():
    parts = student()
    for parameter in parts["backbone"].parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    for parameter in parts["dino_head"].parameters():
        parameter.grad = torch.full_like(parameter, 1e6)
    norms = clip_gradients(parts, max_norm=3.0)
    assert norms["dino_head"] > 1e6
    clipped = [parameter.grad.flatten() for parameter in parts["dino_head"].parameters()]
    assert torch.cat(clipped).norm().item() == pytest.approx(3.0, rel=1e-4)
    assert parts["backbone"]["norm"].weight.grad[0].item() == pytest.approx(1e-3)


@pytest.mark.parametrize(("norm", "clipped"), [(0.05, 0.03), (0.0299, 0.0299)])
def test_norms_are_cut_to_the_largest_and_never_raised(norm, clipped):
    part = nn.Linear(1, 1, bias=False)
    part.weight.grad = torch.full((1, 1), norm)
    assert clip_gradients({"part": part}, max_norm=0.03)["part"].item() == pytest.approx(norm)
    assert part.weight.grad.item() == pytest.approx(clipped, rel=1e-4)


def test_a_gradient_that_is_not_finite_is_clipped_into_sight():
    part = nn.Linear(2, 1)
    part.weight.grad = torch.tensor([[torch.nan, 1.0]])
    part.bias.grad = torch.ones(1)
    assert clip_gradients({"part": part}, max_norm=3.0)["part"].isnan()
    assert part.bias.grad.isnan()
