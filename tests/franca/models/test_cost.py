"""The arithmetic of a backbone against the model itself: parameters, operations, saved tensors."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from franca.models import layers
from franca.models.archs import ARCHS
from franca.models.cost import (
    backbone_parameters,
    block_flops,
    kept_bytes_per_token,
    num_tokens,
    patch_flops,
)
from franca.models.stochastic_depth import draw_subsets
from franca.models.vit import build_vit
from franca.randomness import generator
from tests.franca.depth import depth_source
from tests.saved_tensors import saved_bytes


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("arch", ARCHS)
def test_parameters_are_those_of_the_model(arch, registers):
    with torch.device("meta"):
        model = build_vit(arch, registers=registers)
    counted = backbone_parameters(ARCHS[arch], registers=registers)
    assert counted == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("arch", ["vit_tiny", "vit_s14_mlp"])
def test_operations_are_those_that_torch_counts(arch):
    model = build_vit(arch, registers=2, generator=generator(0, "cost"))
    size = ARCHS[arch].patch_size * 4
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model(torch.zeros(3, 3, size, size))
    tokens = num_tokens(ARCHS[arch], image_size=size, registers=2)
    counted = block_flops(ARCHS[arch], tokens=tokens) + patch_flops(ARCHS[arch], image_size=size)
    assert 3 * counted == counter.get_total_flops()


# GFLOP of a forward pass, as measured for the published sizes.
@pytest.mark.parametrize(
    ("arch", "gigaflops"),
    [
        ("vit_s14", {224: 12.2, 98: 2.19, 364: 37.5, 518: 93.4}),
        ("vit_b14", {224: 46.3, 98: 8.63, 364: 133, 518: 303}),
        ("vit_l14", {224: 162, 98: 30.5, 364: 455, 518: 1015}),
        ("vit_g14", {224: 599, 98: 114, 364: 1647, 518: 3567}),
    ],
)
def test_operations_of_the_paper_sizes(arch, gigaflops):
    for size, expected in gigaflops.items():
        tokens = num_tokens(ARCHS[arch], image_size=size, registers=0)
        blocks = block_flops(ARCHS[arch], tokens=tokens)
        total = blocks + patch_flops(ARCHS[arch], image_size=size)
        assert total / 1e9 == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("drop_path", [0.0, 0.25])
@pytest.mark.parametrize("arch", ["vit_tiny", "vit_ti14", "vit_s14_mlp"])
def test_kept_bytes_are_what_autograd_saves(arch, drop_path, precision, monkeypatch):
    # On GPUs bf16 runs the fused kernel as well, which keeps no scores.
    monkeypatch.setattr(layers, "attend", scaled_dot_product_attention)
    model = build_vit(arch, drop_path=drop_path, generator=generator(0, "cost"))
    tokens, depth = 65, ARCHS[arch].depth

    def saved(batch):
        packing = ((batch, tokens),)
        drawn = draw_subsets(
            packing=packing,
            drop_path=drop_path,
            count=2 * depth,
            source=depth_source(batch),
            device=torch.device("cpu"),
        )

        def forward():
            x = torch.zeros(batch * tokens, ARCHS[arch].width, requires_grad=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                for index, block in enumerate(model.blocks):
                    subsets = drawn[2 * index : 2 * index + 2] if drop_path else None
                    x = block(x, packing, subsets)
                return model.norm(x)

        return saved_bytes(forward, model=model)

    # Twice as many images: what is left of the difference is not of the weights.
    per_token = kept_bytes_per_token(ARCHS[arch], precision=precision, drop_path=drop_path)
    assert 4 * tokens * per_token == pytest.approx(saved(8) - saved(4), rel=0.02)
