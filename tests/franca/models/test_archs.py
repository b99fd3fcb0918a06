"""The table of sizes against the published parameter counts."""

import pytest
import torch

from franca.models.archs import ARCHS, swiglu_hidden
from franca.models.vit import build_vit


@pytest.mark.parametrize(("width", "hidden"), [(768, 2048), (1024, 2736), (1536, 4096)])
def test_swiglu_hidden_widths_of_the_released_models(width, hidden):
    assert swiglu_hidden(width) == hidden


@pytest.mark.parametrize(
    ("arch", "image_size", "millions"),
    [
        ("vit_s14", 224, 21.635),
        ("vit_b14", 224, 85.74),
        ("vit_l14", 224, 303.66),
        ("vit_g14", 224, 1134.77),
        ("vit_b14", 518, 86.59),
        ("vit_l14", 518, 304.79),
        ("vit_g14", 518, 1136.48),
        ("vit_s14_mlp", 518, 22.06),  # DINOv2's model card: 21, 86, 300 M
        ("vit_b14_mlp", 518, 86.58),
        ("vit_l14_mlp", 518, 304.37),
    ],
)
def test_parameter_counts(arch, image_size, millions):
    with torch.device("meta"):
        model = build_vit(arch, image_size=image_size)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.006)
    assert len(model.state_dict()) == 7 + (14 * ARCHS[arch].depth)


def test_default_is_small_enough_for_two_cores():
    model = build_vit("vit_tiny")
    assert model.patch_size == 8
    assert model.pos_embed.shape == (1, 1 + 8 * 8, 96)
    assert sum(parameter.numel() for parameter in model.parameters()) < 500_000
