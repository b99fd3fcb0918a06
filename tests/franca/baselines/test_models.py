"""Every family of models behind one door, and what they give is what their own library computes."""

import json

import pytest
import torch
from safetensors.torch import save_file

from compat.torchvision_shim import ensure_torchvision
from franca.baselines.models import open_model
from franca.data.collate import IMAGENET_MEAN, IMAGENET_STD
from franca.eval.models import shows_blocks, shows_keys
from franca.models.vit import build_vit
from franca.models.weights import save_backbone

ensure_torchvision()
import open_clip  # noqa: E402

CPU = torch.device("cpu")
TINY = "tiny-tower"


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    vision = {"image_size": 32, "layers": 3, "width": 48, "head_width": 16, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    content = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / f"{TINY}.json").write_text(json.dumps(content))
    open_clip.add_model_config(folder)


def renormalised(images, mean, std):
    pixels = images * torch.tensor(IMAGENET_STD)[:, None, None]
    pixels = pixels + torch.tensor(IMAGENET_MEAN)[:, None, None]
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@torch.inference_mode()
def test_open_clip_tokens_are_those_of_its_own_tower(images):
    model, _ = open_model(f"open_clip:{TINY}", device=CPU)
    visual = model.visual
    native = images[:, :, :32, :32]
    mean, std = (visual.preprocess_cfg[name] for name in ("mean", "std"))
    pooled = visual(renormalised(native, mean, std))  # class token, projected
    ours = model.forward_features(native)
    assert ours.grid == (4, 4)
    torch.testing.assert_close(ours.cls @ visual.proj, pooled, atol=1e-5, rtol=1e-4)
    assert model.forward_features(images).grid == (8, 12)  # positions are resampled


@torch.inference_mode()
def test_open_clip_keys_are_those_of_the_last_attention(images):
    model, _ = open_model(f"open_clip:{TINY}", device=CPU)
    last = model.visual.transformer.resblocks[-1]
    seen = []
    handle = last.ln_1.register_forward_hook(lambda _, __, output: seen.append(output))
    keys = model.last_keys(images)
    model.forward_features(images)
    handle.remove()
    weight, bias = last.attn.in_proj_weight[48:96], last.attn.in_proj_bias[48:96]
    torch.testing.assert_close(keys, seen[1] @ weight.T + bias, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("spec", ["timm:test_vit", f"open_clip:{TINY}", "random:vit_tiny"])
@torch.inference_mode()
def test_the_last_of_several_blocks_is_the_last_and_opening_draws_no_random_number(images, spec):
    state = torch.get_rng_state()
    model, _ = open_model(spec, device=CPU)
    assert torch.equal(state, torch.get_rng_state())
    earlier, last = model.forward_intermediate(images, 2)
    only = model.forward_features(images)
    torch.testing.assert_close(last.cls, only.cls, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(last.patches, only.patches, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(earlier.patches, last.patches)


@pytest.mark.parametrize(
    ("spec", "norm"),
    [("timm:test_vit", "trunk.norm"), (f"open_clip:{TINY}", "visual.ln_post")],
)
@torch.inference_mode()
def test_numbered_blocks_come_in_the_order_wanted_and_before_the_norm(images, spec, norm):
    model, _ = open_model(spec, device=CPU)
    final = model.get_submodule(norm)
    wanted = [model.depth - 1, 0, 0]
    raw = model.forward_intermediate(images, wanted, norm=False)
    normed = model.forward_intermediate(images, wanted, norm=True)
    for before, after in zip(raw, normed, strict=True):
        torch.testing.assert_close(final(before.patches), after.patches)
        torch.testing.assert_close(final(before.cls), after.cls)
    assert torch.equal(raw[1].patches, raw[2].patches)
    torch.testing.assert_close(normed[0].cls, model.forward_features(images).cls)
    with pytest.raises(ValueError, match=r"blocks \[9\] wanted, but the model has blocks 0 to"):
        model.forward_intermediate(images, [9])


def test_models_keep_the_contract_and_are_always_the_same(tmp_path):
    save_backbone(
        build_vit("vit_tiny", image_size=64), tmp_path / "ours.safetensors", metadata={"step": 1}
    )
    ours = f"franca:{tmp_path}/ours.safetensors"
    for spec in (f"open_clip:{TINY}", "timm:test_vit", "random:vit_tiny", ours):
        model, digest = open_model(spec, device=CPU)
        assert shows_blocks(model)
        assert shows_keys(model)
        assert not model.training
        assert open_model(spec, device=CPU)[1] == digest


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vit", r"write FAMILY:NAME, with one of franca, timm, open_clip, random"),
        ("random:vit_zero", "vit_zero"),
        ("open_clip:nobody", "no such model; see open_clip.list_models"),
    ],
)
def test_unknown_models_are_named(spec, message):
    with pytest.raises(ValueError, match=message):
        open_model(spec, device=CPU)


def test_weights_of_another_open_clip_model_are_refused(tmp_path):
    save_file({"strange": torch.zeros(2)}, tmp_path / "strange.safetensors")
    with pytest.raises(ValueError, match=r"strange.safetensors: not the weights of open_clip"):
        open_model(f"open_clip:{TINY}", weights=tmp_path / "strange.safetensors", device=CPU)
