"""timm's models give the tokens that timm itself computes, in the places of the contract."""

import pytest
import torch

from franca.baselines.timm_vit import open_timm
from franca.eval.transforms import IMAGENET_MEAN, IMAGENET_STD


def images(size=64):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def with_registers():
    torch.manual_seed(0)
    return open_timm("vit_small_patch14_reg4_dinov2", weights=None).eval()


@torch.inference_mode()
def test_tokens_are_timms_without_registers(with_registers):
    pixels = images(70)
    features = with_registers.forward_features(pixels)
    tokens = with_registers.trunk.forward_features(pixels)  # ImageNet's normalisation is its own
    assert features.grid == (5, 5)
    torch.testing.assert_close(features.cls, tokens[:, 0])
    torch.testing.assert_close(features.registers, tokens[:, 1:5])
    torch.testing.assert_close(features.patches, tokens[:, 5:])


@torch.inference_mode()
def test_keys_are_those_of_the_last_block(with_registers):
    pixels = images(70)
    keys = with_registers.last_keys(pixels)
    assert keys.shape == (2, 30, with_registers.embed_dim)
    block = with_registers.trunk.blocks[-1]
    seen = []
    handle = block.norm1.register_forward_hook(lambda _, __, output: seen.append(output))
    with_registers.trunk.forward_features(pixels)
    handle.remove()
    weight, bias = block.attn.qkv.weight.chunk(3)[1], block.attn.qkv.bias.chunk(3)[1]
    torch.testing.assert_close(keys, seen[0] @ weight.T + bias, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_model_with_its_own_normalisation_sees_its_own():
    torch.manual_seed(0)
    model = open_timm("vit_tiny_patch16_224", weights=None).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    raw = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = model.forward_features((raw - mean) / std).cls
    theirs = model.trunk.forward_features((raw - 0.5) / 0.5)[:, 0]  # augreg's statistics
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["test_vit2", "test_vit3"])
@torch.inference_mode()
def test_a_model_without_a_class_token_gives_what_it_pools(name):
    """One averages its patches, the other attends to them as SigLIP does; both have a register."""
    torch.manual_seed(0)
    model = open_timm(name, weights=None).eval()
    pixels = images()
    features = model.forward_features(pixels)
    expected = model.renormalise(pixels)
    assert model.trunk.cls_token is None
    torch.testing.assert_close(features.cls, model.trunk(expected), atol=1e-5, rtol=1e-4)
    tokens = model.trunk.forward_features(expected)
    torch.testing.assert_close(features.patches, tokens[:, 1:], atol=1e-5, rtol=1e-4)
    assert features.registers.shape[1] == 1


def test_models_without_patch_tokens_are_refused():
    with pytest.raises(ValueError, match="timm has no such model"):
        open_timm("vit_of_nobody", weights=None)
    with pytest.raises(ValueError, match="no plain ViT"):
        open_timm("resnet18", weights=None)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_weights_are_named_in_one_line(tmp_path, suffix):
    file = tmp_path / f"bad.{suffix}"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=rf"bad.{suffix}: not the weights of timm:") as caught:
        open_timm("vit_tiny_patch16_224", weights=file)
    assert "\n" not in str(caught.value)


def test_weights_are_loaded_whole_or_not_at_all(tmp_path):
    torch.manual_seed(1)
    trunk = open_timm("vit_tiny_patch16_224", weights=None).trunk
    state = trunk.state_dict()
    torch.save(state | {"head.weight": torch.zeros(9, 192)}, tmp_path / "good.pth")
    found = open_timm("vit_tiny_patch16_224", weights=tmp_path / "good.pth").trunk.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    del state["blocks.3.norm1.weight"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(
        ValueError, match=r"short.pth: not the weights of timm:vit_tiny(?s:.*)blocks.3"
    ):
        open_timm("vit_tiny_patch16_224", weights=tmp_path / "short.pth")
