"""Layers: packing, attention in two forms, and blocks under stochastic depth."""

import pytest
import torch
from torch.testing import assert_close

from franca.models.layers import Attention, Block, SwiGLU, attend, gated_silu
from franca.models.stochastic_depth import Subset
from tests.franca.depth import PACKING, ROWS, draw


def make_block():
    torch.manual_seed(0)
    return Block(width=8, heads=2, ffn="swiglu", layer_scale=0.5)


def test_attention_of_the_first_token_is_what_its_output_is_made_of():
    torch.manual_seed(0)
    attention = Attention(width=8, heads=2)
    x = torch.randn(4, 5, 8)
    weights = attention.first_token(x)
    assert_close(weights.sum(2), torch.ones(4, 2))
    values = attention.qkv(x).chunk(3, dim=2)[2].unflatten(2, (2, 4))
    mixed = torch.einsum("bht,bthw->bhw", weights, values).flatten(1)
    expected = attention(x.flatten(0, 1), ((4, 5),)).view(4, 5, 8)[:, 0]
    assert_close(attention.proj(mixed), expected, atol=1e-6, rtol=1e-5)


def test_attention_never_looks_outside_its_sequence():
    torch.manual_seed(0)
    attention = Attention(width=8, heads=2)
    x = torch.randn(ROWS, 8)
    changed = x.clone()
    changed[:5] += 1.0  # the first sequence
    difference = (attention(x, PACKING) - attention(changed, PACKING)).abs().amax(dim=1)
    assert difference[:5].min() > 1e-4
    assert difference[5:].max() == 0


def test_bf16_attention_on_cpu_equals_fp32_to_its_precision():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 17, 16)
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert half.dtype == torch.bfloat16
    assert_close(half.float(), attend(q, k, v), atol=0.03, rtol=0.03)


def test_attention_of_equal_keys_is_the_mean_of_values():
    v = torch.randn(1, 1, 6, 4)
    mixed = attend(torch.randn(1, 1, 6, 4), torch.ones(1, 1, 6, 4), v)
    assert_close(mixed, v.mean(dim=2, keepdim=True).expand_as(v))


def test_swiglu_gates_with_the_first_half():
    layer = SwiGLU(width=1, hidden=1)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    layer.w12.weight.data = torch.tensor([[1.0], [2.0]])
    layer.w3.weight.data = torch.tensor([[1.0]])
    x = torch.tensor([[3.0]])
    assert_close(layer(x), torch.sigmoid(x) * x * (2 * x))


def test_stochastic_depth_has_the_full_residual_as_its_expectation():
    """Averaged over all draws, a row kept with probability q gets residual / q."""
    block = make_block()
    x = torch.randn(ROWS, 8)
    full = x + block.ls1(block.attn(block.norm1(x), PACKING))
    block.ls2.gamma.data.zero_()  # leaves the attention branch alone
    with torch.no_grad():
        draws = [block(x, PACKING, [s, s]) for s in draw(drop_path=0.4, count=300)]
    standard_error = torch.stack(draws).std(dim=0) / 300**0.5
    z = (torch.stack(draws).mean(dim=0) - full) / standard_error.clamp_min(1e-6)
    assert z.abs().max() < 5


def test_dropped_rows_pass_unchanged_and_kept_rows_match_the_scaled_branch():
    block = make_block()
    x = torch.randn(ROWS, 8)
    subset = draw(drop_path=0.4)[0]
    block.ls2.gamma.data.zero_()
    out = block(x, PACKING, [subset, subset])
    kept = torch.zeros(ROWS, dtype=torch.bool)
    kept[subset.rows] = True
    assert torch.equal(out[~kept], x[~kept])
    full = block.ls1(block.attn(block.norm1(x), PACKING))
    assert_close(out[kept], (x + 2 * full)[kept])


@pytest.mark.parametrize("ffn", ["swiglu", "mlp"])
def test_block_is_the_identity_when_layer_scale_is_zero(ffn):
    block = Block(width=8, heads=2, ffn=ffn, layer_scale=0.0)
    x = torch.randn(ROWS, 8)
    assert torch.equal(block(x, PACKING), x)


@pytest.mark.parametrize("drop_path", [0.0, 0.4])
def test_a_block_asked_for_some_rows_returns_what_it_makes_of_them_all(drop_path):
    block = make_block()
    x = torch.randn(ROWS, 8)
    wanted = torch.tensor([37, 0, 5, 21, 12])
    subsets = draw(drop_path=drop_path, count=2) if drop_path else None
    whole = block(x, PACKING, subsets)
    assert_close(block(x, PACKING, subsets, wanted), whole[wanted], atol=1e-6, rtol=1e-5)


def test_rows_may_be_asked_for_where_no_kept_sequence_is_at_hand():
    """Gradients are zeros then, not missing: other processes wait for them."""
    block = make_block()
    x = torch.randn(ROWS, 8)
    nothing = Subset(torch.arange(0), torch.zeros(0, 1), ((0, 5), (0, 3)))
    wanted = torch.tensor([3, 30])
    out = block(x, PACKING, [nothing, nothing], wanted)
    assert torch.equal(out, x[wanted])
    out.sum().backward()
    assert all(not parameter.grad.any() for parameter in block.parameters())


def test_the_gated_product_has_the_gradient_of_its_formula():
    hidden = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gated_silu, hidden)
    gate, value = hidden.chunk(2, dim=-1)
    assert_close(gated_silu(hidden), torch.sigmoid(gate) * gate * value)
