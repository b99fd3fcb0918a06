"""The arithmetic of an update against torch's own counters, and against published figures."""

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from franca.heads.cost import HeadStack
from franca.heads.matryoshka import FIVE_LEVELS
from franca.models.archs import ARCHS
from franca.ssl.cost import Step
from franca.ssl.student_teacher import make_views
from franca.train.build import build_masks
from tests.franca.depth import depth_source
from tests.franca.train.recipes import HEAD, batch_of, build, recipe
from tests.saved_tensors import saved_bytes

STACK = {name: value for name, value in HEAD.items() if name != "normalization"}
SMALL = Step(
    arch=dataclasses.replace(ARCHS["vit_tiny"], image_size=32),
    registers=0,
    drop_path=0.25,
    precision="fp32",
    dino_head=HeadStack(dim=96, **STACK),
    ibot_head=HeadStack(dim=96, **STACK),
    global_size=32,
    local_size=16,
    num_local=2,
    masked_share=0.5 * 0.4,
)


def paper(arch, *, drop_path, levels=FIVE_LEVELS):
    heads = {
        name: HeadStack(
            dim=ARCHS[arch].width,
            levels=levels,
            num_prototypes=131072,
            hidden_dim=2048,
            bottleneck_dim=bottleneck_dim,
            num_layers=3,
            mode="project",
            batch_norm=False,
        )
        for name, bottleneck_dim in (("dino_head", 384), ("ibot_head", 256))
    }
    return Step(
        arch=ARCHS[arch],
        registers=0,
        drop_path=drop_path,
        precision="bf16",
        **heads,
        global_size=224,
        local_size=98,
        num_local=8,
        masked_share=0.5 * 0.375,
    )


@pytest.fixture(scope="module")
def cfg():
    return recipe(model__drop_path=0.25, global_batch_size=8)


@pytest.fixture(scope="module")
def views(cfg):
    masks = build_masks(cfg, seed=0)(0, range(cfg.global_batch_size))
    return make_views(batch_of(cfg, 0), masks, device=torch.device("cpu"))


def losses(method, views):
    return method(views, teacher_temperature=0.05, depth=depth_source(8)).total


def test_operations_are_those_that_torch_counts(cfg, views):
    method = build(cfg)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        losses(method, views).backward()
    counted = 8 * sum(SMALL.flops.values())
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.005)


def test_kept_bytes_are_what_autograd_saves(cfg, views):
    method = build(cfg)
    saved = saved_bytes(lambda: method.student_outputs(views, depth=depth_source(8)), model=method)
    assert 8 * SMALL.activation_bytes == pytest.approx(saved, rel=0.02)


def test_parameters_are_those_of_the_student(cfg):
    student = build(cfg).student
    assert SMALL.backbone_parameters == sum(p.numel() for p in student.backbone.parameters())
    total = sum(parameter.numel() for parameter in student.parameters())
    assert SMALL.head_parameters == total - SMALL.backbone_parameters


# GFLOP per image, counted from the released code, which spares nothing in the last block: backbones
# without skipping, five-level heads, and all that is executed under the configured drop path.
@pytest.mark.parametrize(
    ("arch", "drop_path", "backbones", "heads", "executed"),
    [
        ("vit_s14", 0.0, 151, 78, 228),
        ("vit_b14", 0.1, 578, 80, 609),
        ("vit_l14", 0.4, 2031, 81, 1429),
        ("vit_g14", 0.4, 7525, 85, 5079),
    ],
)
def test_operations_of_the_paper_sizes(arch, drop_path, backbones, heads, executed):
    step = paper(arch, drop_path=0.0)
    whole, spared = step.flops, step.spared_flops
    ours = whole["teacher backbone"] + whole["student backbone"]
    assert ours + sum(spared.values()) == pytest.approx(backbones * 1e9, rel=0.01)
    assert whole["teacher heads"] + whole["student heads"] == pytest.approx(heads * 1e9, rel=0.01)
    step = paper(arch, drop_path=drop_path)
    skipping = sum(step.flops.values()) + sum(step.spared_flops.values())
    assert skipping == pytest.approx(executed * 1e9, rel=0.005)


def test_one_level_has_less_than_half_of_the_head_operations():
    one = paper("vit_l14", drop_path=0.4, levels=(1.0,)).flops
    assert one["teacher heads"] + one["student heads"] == pytest.approx(35e9, rel=0.02)
