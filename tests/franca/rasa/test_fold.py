import pytest
import torch
from torch import nn

from franca.models.vit import build_vit
from franca.rasa.fold import FoldedBackbone, fold_into_linear
from franca.rasa.head import plane_of, remove_plane
from franca.rasa.linear_map import LinearMap, compose_planes


@pytest.fixture(scope="module")
def planes():
    draw = torch.Generator().manual_seed(0)
    return [plane_of(torch.randn(2, 96, generator=draw)) for _ in range(8)]


@pytest.fixture(scope="module")
def affine_map():
    draw = torch.Generator().manual_seed(1)
    return LinearMap(
        torch.randn(96, 3, generator=draw) / 10,
        torch.randn(3, 96, generator=draw) / 10,
        torch.randn(96, generator=draw),
    )


@pytest.fixture(scope="module", params=[0, 2])
def model(request):
    draw = torch.Generator().manual_seed(2)
    model = build_vit("vit_tiny", layer_scale=1.0, registers=request.param, generator=draw).eval()
    with torch.no_grad():
        model.norm.weight.uniform_(0.5, 2, generator=draw)
        model.norm.bias.normal_(generator=draw)
    return model


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_folded_norm_equals_the_rounds_on_patches_and_leaves_the_rest(model, images, planes):
    plain = model.forward_features(images)
    folded = FoldedBackbone(model, compose_planes(planes, metadata={})).forward_features(images)
    expected = plain.patches
    for plane in planes:
        expected = remove_plane(expected, plane)
    torch.testing.assert_close(folded.patches, expected, atol=1e-5, rtol=0)
    assert torch.equal(folded.cls, plain.cls)
    assert torch.equal(folded.registers, plain.registers)
    assert folded.grid == plain.grid == (8, 6)


@torch.no_grad()
def test_folded_norm_carries_the_mean(model, images, affine_map):
    folded = FoldedBackbone(model, affine_map).forward_features(images)
    expected = affine_map(model.forward_features(images).patches)
    torch.testing.assert_close(folded.patches, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("bias", [False, True])
def test_linear_consumer_reads_the_mapped_tokens(affine_map, bias):
    linear = nn.Linear(96, 5, bias=bias)
    tokens = torch.randn(2, 7, 96, generator=torch.Generator().manual_seed(4))
    folded = fold_into_linear(linear, affine_map)
    torch.testing.assert_close(folded(tokens), linear(affine_map(tokens)), atol=1e-5, rtol=0)


def test_folding_leaves_its_inputs_alone(model, affine_map):
    before = model.norm.weight.clone()
    FoldedBackbone(model, affine_map)
    assert torch.equal(model.norm.weight, before)


def test_maps_of_another_backbone_are_refused(affine_map):
    with pytest.raises(ValueError, match="takes 32 channels and the map 96"):
        fold_into_linear(nn.Linear(32, 5), affine_map)
    narrow = LinearMap(torch.zeros(4, 1), torch.zeros(1, 4), torch.zeros(4))
    with pytest.raises(ValueError, match="takes 96 channels and the map 4"):
        FoldedBackbone(build_vit("vit_tiny"), narrow)
