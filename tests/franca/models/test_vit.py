"""The vision transformer: against the released model, and the properties of its forward passes."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import LayerNorm
from torch.testing import assert_close

from franca.models.archs import Arch
from franca.models.vit import VisionTransformer, build_vit
from franca.models.weights import import_released
from franca.randomness import generator
from tests.franca.depth import depth_source

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "vit.npz", allow_pickle=False)
ARCH_OF = {
    "base": Arch("base", width=48, depth=4, heads=3, patch_size=14, image_size=56),
    "reg": Arch("reg", width=32, depth=2, heads=2, patch_size=14, image_size=56, ffn="mlp"),
}
CASES = [("base", "franca", image) for image in ("native", "up", "rect", "sametok")]
CASES += [("base", "antialias", image) for image in ("up", "rect", "sametok")]
CASES += [("reg", "franca", image) for image in ("native", "rect")]


def released(weights, interpolation="franca"):
    prefix = f"in/{weights}/sd/"
    state = {
        key.removeprefix(prefix): torch.from_numpy(ORACLE[key])
        for key in ORACLE.files
        if key.startswith(prefix)
    }
    return import_released({"teacher": state}, ARCH_OF[weights], interpolation=interpolation).model


def expected(weights, interpolation, image, name):
    case = weights if interpolation == "franca" else f"{weights}_{interpolation}"
    return torch.from_numpy(ORACLE[f"out/{case}/{image}/{name}"])


def close(actual, wanted):
    assert_close(actual, wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(("weights", "interpolation", "image"), CASES)
def test_features_equal_the_released_model(weights, interpolation, image):
    images = torch.from_numpy(ORACLE[f"in/{weights}/img/{image}"])
    features = released(weights, interpolation).forward_features(images)
    close(features.cls, expected(weights, interpolation, image, "x_norm_clstoken"))
    close(features.patches, expected(weights, interpolation, image, "x_norm_patchtokens"))
    assert features.grid == (images.shape[2] // 14, images.shape[3] // 14)
    assert torch.equal(released(weights, interpolation)(images), features.cls)
    if weights == "reg":
        close(features.registers, expected(weights, interpolation, image, "x_norm_regtokens"))


@pytest.mark.parametrize(
    ("weights", "interpolation", "image"), [c for c in CASES if c[1] == "franca"]
)
def test_masked_features_equal_the_released_model(weights, interpolation, image):
    images = torch.from_numpy(ORACLE[f"in/{weights}/img/{image}"])
    masks = torch.from_numpy(ORACLE[f"in/{weights}/mask/{image}"])
    features = released(weights).forward_features(images, masks)
    close(features.cls, expected(weights, interpolation, image, "masked_x_norm_clstoken"))
    close(features.patches, expected(weights, interpolation, image, "masked_x_norm_patchtokens"))


@pytest.mark.parametrize(
    ("weights", "interpolation", "image"), [c for c in CASES if c[1] == "franca"]
)
def test_intermediate_features_and_keys_equal_the_released_model(weights, interpolation, image):
    images = torch.from_numpy(ORACLE[f"in/{weights}/img/{image}"])
    model = released(weights)
    layers = {"base": [0, 2], "reg": [0]}[weights]
    found = {
        f"interm_n2_{i}": features
        for i, features in enumerate(model.forward_intermediate(images, 2))
    } | {
        f"interm_raw_layer{layer}": features
        for layer, features in zip(
            layers, model.forward_intermediate(images, layers, norm=False), strict=True
        )
    }
    for name, features in found.items():
        close(features.cls, expected(weights, interpolation, image, f"{name}_cls"))
        close(features.patches, expected(weights, interpolation, image, f"{name}_patch"))
    close(model.last_keys(images), expected(weights, interpolation, image, "last_block_keys"))


@pytest.mark.parametrize("registers", [0, 2])
def test_attention_of_the_last_block_is_on_patches_only(registers):
    model = build_vit("vit_tiny", registers=registers, generator=generator(0, "w"))
    attention = model.last_attention(torch.zeros(2, 3, 32, 48))
    patch, heads = model.patch_size, model.arch.heads
    assert attention.shape == (2, heads, 32 * 48 // patch**2)
    # All tokens of an untrained model on an empty image are almost alike: so is what each gets.
    assert_close(
        attention.sum(2),
        torch.full((2, heads), attention.shape[2] / (attention.shape[2] + 1 + registers)),
        atol=0.02,
        rtol=0,
    )


@pytest.mark.parametrize("weights", ["base", "reg"])
def test_parameter_count_equals_the_released_model(weights):
    count = sum(parameter.numel() for parameter in released(weights).parameters())
    assert count == ORACLE[f"out/{weights}/n_params"]


@pytest.mark.parametrize("registers", [0, 2])
def test_packed_crops_equal_separate_forwards(registers):
    model = build_vit("vit_tiny", registers=registers, layer_scale=0.5, generator=generator(0, "w"))
    torch.manual_seed(0)
    crops = [torch.randn(2, 3, 64, 64), torch.randn(5, 3, 32, 32), torch.randn(1, 3, 16, 48)]
    masks = torch.rand(2, 64) < 0.4
    wanted = torch.tensor([0, 5, 63, 64, 100])  # of both images
    packed = model.forward_multicrop(crops, patches=wanted, masks=masks)
    alone = [model.forward_features(*pair) for pair in zip(crops, [masks, None, None], strict=True)]
    for cls, features in zip(packed.cls, alone, strict=True):
        assert_close(cls, features.cls, atol=1e-5, rtol=1e-5)
    patches = alone[0].patches.flatten(0, 1)[wanted]
    assert_close(packed.patches, patches, atol=1e-5, rtol=1e-5)


def test_patches_not_asked_for_change_neither_the_others_nor_their_gradients():
    model = build_vit("vit_tiny", drop_path=0.3, layer_scale=0.5, generator=generator(0, "w"))
    crops = [torch.randn(4, 3, 64, 64), torch.randn(6, 3, 32, 32)]
    masks = torch.rand(4, 64) < 0.4
    wanted = torch.tensor([3, 70, 200])

    def run(patches):
        model.zero_grad()
        features = model.forward_multicrop(
            crops, patches=patches, masks=masks, depth=depth_source(2)
        )
        found = features.patches[-3:]
        (found.square().sum() + sum(cls.square().sum() for cls in features.cls)).backward()
        return found.detach(), [parameter.grad.clone() for parameter in model.parameters()]

    few, few_gradients = run(wanted)
    many, many_gradients = run(torch.cat([torch.arange(256), wanted]))
    assert_close(few, many, atol=1e-5, rtol=1e-5)
    # Twice the same row among the wanted ones: its gradient counts once, for the copy that is read.
    assert_close(few_gradients, many_gradients, atol=1e-4, rtol=1e-4)


def test_every_parameter_gets_a_gradient_through_packed_crops_and_stochastic_depth():
    model = build_vit("vit_tiny", drop_path=0.3, registers=1, generator=generator(0, "w"))
    crops = [torch.randn(4, 3, 64, 64), torch.randn(6, 3, 32, 32)]
    masks = torch.rand(4, 64) < 0.4
    features = model.forward_multicrop(
        crops, patches=masks.flatten().nonzero()[:, 0], masks=masks, depth=depth_source(2)
    )
    (sum(cls.square().sum() for cls in features.cls) + features.patches[:, 0].sum()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_masked_patches_know_their_place_but_not_their_pixels():
    model = build_vit("vit_tiny", layer_scale=0.5, generator=generator(0, "w"))
    images = torch.randn(1, 3, 64, 64)
    everything = torch.ones(1, 64, dtype=torch.bool)
    masked = model.forward_features(images, everything)
    assert torch.equal(masked.patches, model.forward_features(-images, everything).patches)
    assert masked.patches.std(dim=1).min() > 0.01


def test_stochastic_depth_repeats_with_its_generator_and_is_off_in_evaluation():
    model = build_vit("vit_tiny", drop_path=0.5, layer_scale=0.5, generator=generator(0, "w"))
    images = torch.randn(4, 3, 64, 64)

    def cls(seed):
        features = model.forward_multicrop(
            [images], patches=torch.arange(0), depth=depth_source(4, seed)
        )
        return features.cls[0]

    assert torch.equal(cls(0), cls(0))
    assert not torch.equal(cls(0), cls(1))
    model.eval()
    assert torch.equal(cls(0), cls(1))
    assert_close(cls(0), model.forward_features(images).cls, atol=1e-6, rtol=1e-5)


def test_without_a_source_of_draws_no_branch_is_left_out():
    model = build_vit("vit_tiny", drop_path=0.5, layer_scale=0.5, generator=generator(0, "w"))
    images = torch.randn(2, 3, 64, 64)
    features = model.forward_multicrop([images], patches=torch.arange(0))
    assert_close(features.cls[0], model.forward_features(images).cls, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize("way", ["autocast", "cast"])
def test_bf16_is_close_to_fp32(registers, way):
    model = build_vit("vit_tiny", registers=registers, layer_scale=0.5, generator=generator(0, "w"))
    images = torch.randn(2, 3, 64, 64)
    masks = torch.rand(2, 64) < 0.4
    wanted = model.forward_features(images, masks).patches
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "autocast"):
        if way == "cast":
            model, images = model.bfloat16(), images.bfloat16()
        got = model.forward_features(images, masks).patches
    error = (got.float() - wanted).norm() / wanted.norm()
    assert 0 < error < 0.02


def test_initial_weights_depend_on_the_generator_alone():
    first, again, other = (
        build_vit("vit_tiny", registers=1, generator=generator(seed, "w")).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = {name for name in first if not torch.equal(first[name], other[name])}
    constant = {name for name in first if first[name].unique().numel() == 1}
    assert drawn | constant == set(first)
    assert {"mask_token", "norm.bias", "blocks.0.ls1.gamma"} <= constant


def test_initial_weights_have_the_published_spread():
    state = build_vit("vit_tiny", registers=4, generator=generator(0, "w")).state_dict()
    assert state["blocks.1.mlp.w12.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert state["pos_embed"].std() == pytest.approx(0.02, rel=0.05)
    assert state["cls_token"].std() == pytest.approx(1e-6, rel=0.3)
    assert (state["blocks.2.ls2.gamma"] == 1e-5).all()
    bound = (3 * 8 * 8) ** -0.5
    assert state["patch_embed.proj.weight"].abs().max() == pytest.approx(bound, rel=1e-3)


def test_every_norm_has_the_released_eps():
    norms = [module for module in build_vit("vit_tiny").modules() if isinstance(module, LayerNorm)]
    assert [norm.eps for norm in norms] == [1e-6] * (2 * 3 + 1)


def test_set_image_size_keeps_the_features_at_that_size():
    model = released("base")
    images = torch.from_numpy(ORACLE["in/base/img/up"])
    before = model.forward_features(images)
    model.set_image_size(84)
    after = model.forward_features(images)
    assert model.pos_embed.shape[1] == 1 + 36
    assert model.settings["image_size"] == 84
    assert torch.equal(before.patches, after.patches)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "vit_tinny"}, "unknown architecture 'vit_tinny': choose one of vit_tiny"),
        ({"arch": "vit_tiny", "image_size": 60}, "60 is not a multiple of patch_size 8"),
        ({"arch": "vit_tiny", "drop_path": 1.0}, "drop_path is 1.0"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_vit(**arguments)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 3"):
        VisionTransformer(arch=Arch("odd", 10, 1, 3, 14, 56))


def test_images_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(ValueError, match="60x64 pixels do not divide into patches of 8"):
        build_vit("vit_tiny").forward_features(torch.zeros(1, 3, 60, 64))


@pytest.mark.parametrize("blocks", [[3], [-1], 4])
def test_blocks_that_do_not_exist_are_refused(blocks):
    with pytest.raises(ValueError, match="blocks 0 to 2"):
        build_vit("vit_tiny").forward_intermediate(torch.zeros(1, 3, 64, 64), blocks)


COMPILED = """
import torch
from torch.testing import assert_close
from franca.models.archs import Arch
from franca.models.vit import VisionTransformer
from franca.randomness import generator
from tests.franca.depth import depth_source

arch = Arch("compiled", width=16, depth=1, heads=2, patch_size=8, image_size=16)
results = []
for compiled in (False, True):
    model = VisionTransformer(
        arch=arch, drop_path=0.5, layer_scale=1.0, generator=generator(0, "weights")
    )
    if compiled:
        model.compile_blocks()
    draw = generator(0, "crops")
    features = model.forward_multicrop(
        [torch.rand(4, 3, 16, 16, generator=draw), torch.rand(4, 3, 8, 8, generator=draw)],
        patches=torch.tensor([1, 4, 6]),
        depth=depth_source(4),
    )
    found = [*features.cls, features.patches]
    sum(rows.square().sum() for rows in found).backward()
    results.append(found + [p.grad for p in model.parameters() if p.grad is not None])
graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
assert graphs > 0, "nothing was compiled"
for plain, fused in zip(*results, strict=True):
    assert_close(fused, plain, atol=1e-4, rtol=1e-3)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling for a CPU needs a C++ compiler")
def test_compiled_blocks_have_the_features_and_gradients_of_the_plain_ones():
    """In a process of its own, whose functions do not check the shapes of their arguments."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
