"""Products in fp32 of factors of either precision."""

import pytest
import torch
from torch.testing import assert_close

from franca.models.products import add_product, multiply


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2**-20), (torch.bfloat16, 2**-8)])
def test_products_are_fp32_and_as_right_as_their_factors_allow(dtype, error):
    torch.manual_seed(0)
    a, b = torch.randn(7, 64).to(dtype), torch.randn(64, 5).to(dtype)
    exact = a.double() @ b.double()
    buffer = torch.empty(7, 5)
    assert multiply(a, b, out=buffer) is buffer
    assert torch.equal(buffer, multiply(a, b))
    assert buffer.dtype == torch.float32
    assert_close(buffer.double(), exact, atol=error * exact.abs().max(), rtol=error)
    total = torch.ones(7, 5)
    add_product(total, a, b)
    assert_close(total, 1 + buffer, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_buffer_the_product_has_a_gradient(dtype):
    a = torch.randn(3, 4).to(dtype).requires_grad_()
    multiply(a, torch.ones(4, 2).to(dtype)).sum().backward()
    assert torch.equal(a.grad, torch.full((3, 4), 2.0, dtype=dtype))
