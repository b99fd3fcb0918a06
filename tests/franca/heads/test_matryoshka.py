"""Matryoshka head: the released heads, what each level sees, sizes, one level = DINOv2."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.heads.matryoshka import MatryoshkaHead, rename_released_head
from franca.heads.projection import ProjectionHead
from franca.randomness import generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "heads.npz", allow_pickle=False)
RELEASED = {
    "franca5": {"num_prototypes": 256, "hidden_dim": 40, "bottleneck_dim": 16},
    "franca_default2": {
        "num_prototypes": 64,
        "hidden_dim": 32,
        "bottleneck_dim": 8,
        "levels": (1 / 3, 2 / 3),
    },
    "dinov2": {"num_prototypes": 128, "hidden_dim": 40, "bottleneck_dim": 16, "levels": (1.0,)},
}


def released_head(case):
    variant = (
        {"mode": "slice", "normalization": "dinov2"}
        if case == "dinov2"
        else {"mode": "project", "normalization": "franca_release"}
    )
    head = MatryoshkaHead(dim=48, **RELEASED[case], **variant)
    prefix = f"in/{case}/sd/"
    state = {
        key.removeprefix(prefix): torch.from_numpy(ORACLE[key])
        for key in ORACLE.files
        if key.startswith(prefix)
    }
    head.load_state_dict(rename_released_head(state), strict=True)
    return head


def small_head(seed=0, **options):
    options = {"dim": 16, "num_prototypes": 32, "hidden_dim": 8, "bottleneck_dim": 4} | options
    return MatryoshkaHead(**options, generator=generator(seed, "head"))


@pytest.mark.parametrize("case", RELEASED)
def test_logits_and_gradients_equal_the_released_heads(case):
    head = released_head(case)
    x = torch.from_numpy(ORACLE[f"in/{case}/x"]).requires_grad_()
    levels = head(x)
    assert len(levels) == ORACLE[f"out/{case}/n_levels"]
    total = torch.zeros(())
    for index, level in enumerate(levels):
        expected = torch.from_numpy(ORACLE[f"out/{case}/logits_{index}"])
        assert_close(level.logits(), expected, atol=2e-5, rtol=2e-5)
        total = total + (level.logits() * torch.from_numpy(ORACLE[f"in/{case}/cot_{index}"])).sum()
    total.backward()
    expected = torch.from_numpy(ORACLE[f"out/{case}/grad_x"])
    assert_close(x.grad, expected, atol=2e-5, rtol=2e-5)
    prefix = f"out/{case}/grad/"
    stored = {
        key.removeprefix(prefix): torch.from_numpy(ORACLE[key])
        for key in ORACLE.files
        if key.startswith(prefix)
    }
    gradients = {name: parameter.grad for name, parameter in head.named_parameters()}
    for name, expected in rename_released_head(stored).items():
        assert_close(gradients[name], expected, atol=2e-5, rtol=2e-5)


def test_a_slice_level_ignores_later_features_and_needs_its_own():
    head = small_head()
    x = torch.randn(5, 16)
    before = [level.logits() for level in head(x)]
    for width in head.widths[:-1]:
        changed = torch.cat([x[:, :width], torch.randn(5, 16 - width)], dim=1)
        after = [level.logits() for level in head(changed)]
        for level, own_width in enumerate(head.widths):
            assert torch.equal(before[level], after[level]) == (own_width <= width)


def test_a_project_level_sees_the_full_feature():
    head = small_head(mode="project")
    x = torch.randn(5, 16, requires_grad=True)
    head(x)[0].logits()[:, 0].sum().backward()
    assert x.grad[:, -1].abs().min() > 0


def test_initial_weights_have_the_published_spread():
    """Linear maps truncated normal, 0.02, without bias; prototypes as torch's linear maps."""
    head = MatryoshkaHead(
        dim=256, num_prototypes=512, hidden_dim=128, bottleneck_dim=64, levels=(0.5, 1.0),
        mode="project", generator=generator(0, "head"),
    )  # fmt: skip
    for name, tensor in head.state_dict().items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif name.endswith("weight_v"):
            assert tensor.min() == pytest.approx(-(64**-0.5), rel=1e-3)
            assert tensor.max() == pytest.approx(64**-0.5, rel=1e-3)
        elif name.endswith("weight"):
            assert tensor.std() == pytest.approx(0.02, rel=0.03), name


def test_one_level_is_exactly_the_dinov2_head():
    head = small_head(levels=(1.0,))
    plain = ProjectionHead(
        in_dim=16,
        hidden_dim=8,
        bottleneck_dim=4,
        num_prototypes=32,
        generator=generator(0, "head"),
    )
    x = torch.randn(5, 16)
    assert torch.equal(head(x)[0].logits(), plain(x).logits())


@pytest.mark.parametrize("dim", [768, 1024, 1536])
def test_prototypes_of_the_paper_for_every_backbone(dim):
    with torch.device("meta"):
        head = MatryoshkaHead(dim=dim, num_prototypes=131072, hidden_dim=2048, bottleneck_dim=256)
    assert head.num_prototypes == [8192, 16384, 32768, 65536, 131072]
    assert head.widths == [dim // 16, dim // 8, dim // 4, dim // 2, dim]


@pytest.mark.parametrize(
    ("levels", "mode", "millions"),
    # Both heads of ViT-L, DINO bottleneck 384 and iBOT 256: the sums measured on the released code.
    [((1.0,), "slice", 98.1), ((1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0), "project", 223.8)],
)
def test_parameter_counts_of_both_heads(levels, mode, millions):
    count = 0
    for bottleneck in (384, 256):
        with torch.device("meta"):
            head = MatryoshkaHead(
                dim=1024,
                num_prototypes=131072,
                hidden_dim=2048,
                bottleneck_dim=bottleneck,
                levels=levels,
                mode=mode,
            )
        count += sum(parameter.numel() for parameter in head.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.3)


def test_prototypes_normalised_once_serve_several_batches():
    head = small_head()
    with torch.no_grad():
        prototypes = head.prototypes()
        for _ in range(2):
            x = torch.randn(3, 16)
            for own, given in zip(head(x), head(x, prototypes=prototypes), strict=True):
                assert torch.equal(own.logits(), given.logits())


@pytest.mark.parametrize("mode", ["slice", "project"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_parameter_is_trained(mode, batch_norm):
    head = small_head(mode=mode, batch_norm=batch_norm)
    sum(level.logits().square().sum() for level in head(torch.randn(6, 16))).backward()
    # Batch norm subtracts the mean, so a bias just before it has no effect.
    dead = {name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()}
    assert {name for name in dead if not name.endswith(".bias")} == set()
    assert batch_norm or not dead


def test_initial_weights_depend_on_the_generator_alone():
    first, again, other = (small_head(seed, mode="project").state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["projections.0.weight"], other["projections.0.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": (0.5, 0.25)}, "must ascend"),
        ({"levels": (0.01, 1.0)}, r"widths \[0, 16\]"),
        ({"levels": (0.5, 2.0)}, "at most 16"),
        ({"levels": ()}, "must ascend"),
        ({"num_prototypes": 8}, "leaves level 0.0625 without prototypes"),
    ],
)
def test_impossible_levels_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small_head(**options)
