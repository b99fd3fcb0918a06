"""Tiny backbones that use every parameter, and a map."""

import jaxtyping
import pytest
import torch

from franca.api import Backbone
from franca.models.archs import Arch
from franca.models.vit import VisionTransformer
from franca.models.weights import save_backbone
from franca.rasa.fold import FoldedBackbone
from franca.rasa.linear_map import LinearMap, save_map


def backbone_of(*, ffn="swiglu", registers=0, interpolation="franca", linear_map=None):
    """Return a small backbone with nothing left at its initial zero or one."""
    draw = torch.Generator().manual_seed(0)
    arch = Arch("small", width=36, depth=2, heads=3, patch_size=4, image_size=24, ffn=ffn)
    model = VisionTransformer(
        arch=arch, registers=registers, interpolation=interpolation, generator=draw
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.2)
    metadata = {"step": 7, "model": model.settings}
    whole = model if linear_map is None else FoldedBackbone(model, linear_map)
    return Backbone(whole, dim=None, metadata=metadata).eval()


@pytest.fixture(scope="session")
def linear_map():
    draw = torch.Generator().manual_seed(1)
    A, B = torch.randn(36, 3, generator=draw) / 5, torch.randn(3, 36, generator=draw) / 5
    return LinearMap(A, B, torch.randn(36, generator=draw), metadata={"method": "leace"})


@pytest.fixture(scope="session")
def files(tmp_path_factory, linear_map):
    """Return a folder with model.safetensors and map.safetensors, as stages leave them."""
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(backbone_of().model, folder / "model.safetensors", metadata={"step": 7})
    save_map(linear_map, folder / "map.safetensors")
    return folder


@pytest.fixture
def symbolic_sizes(monkeypatch):
    """Switch the checks of shapes off: while a graph is traced, sizes are symbols and no ints."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
