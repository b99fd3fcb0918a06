"""Batch normalisation over several processes is that of all their rows together."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from franca.heads.batch_norm import BatchNorm
from tests.franca.train.processes import run_together

SIZES = (5, 3)  # rows of each process: not equally many


def rows_and_weights():
    draw = torch.Generator().manual_seed(0)
    # The last column hardly varies, so that the smallest variance matters.
    mean, spread = torch.tensor([[3.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 1e-3]])
    rows = mean + spread * torch.randn(sum(SIZES), 4, generator=draw)
    return rows, torch.randn(rows.shape, generator=draw)


def forward_backward(norm, rows, weights):
    """The result, the gradients of rows and parameters, and the running statistics."""
    rows = rows.clone().requires_grad_()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5.0))
        norm.bias.fill_(0.5)
    out = norm(rows)
    (out * weights).sum().backward()
    return [out.detach(), rows.grad, norm.weight.grad, norm.bias.grad,
            norm.running_mean, norm.running_var]  # fmt: skip


def in_one_process(world):
    norm = BatchNorm(4)
    norm.processes = world.group
    first = sum(SIZES[: world.rank])
    here = slice(first, first + SIZES[world.rank])
    rows, weights = rows_and_weights()
    return [tensor.tolist() for tensor in forward_backward(norm, rows[here], weights[here])]


@pytest.mark.slow
def test_two_processes_normalise_as_one_with_all_rows():
    expected = forward_backward(nn.BatchNorm1d(4), *rows_and_weights())
    results = [[torch.tensor(v) for v in values] for values in run_together(in_one_process, 2)]
    out, grad = (torch.cat([values[place] for values in results]) for place in (0, 1))
    assert_close(out, expected[0], atol=1e-5, rtol=1e-5)
    assert_close(grad, expected[1], atol=1e-5, rtol=1e-5)
    for place in (2, 3):  # each process has its rows' part of the parameters' gradients
        total = results[0][place] + results[1][place]
        assert_close(total, expected[place], atol=1e-5, rtol=1e-5)
    for values in results:
        assert_close(values[4:], expected[4:], atol=1e-5, rtol=1e-5)


def test_alone_it_is_torchs():
    ours = forward_backward(BatchNorm(4), *rows_and_weights())
    theirs = forward_backward(nn.BatchNorm1d(4), *rows_and_weights())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_bf16_rows_are_normalised_in_fp32():
    rows, _ = rows_and_weights()
    norm = BatchNorm(4)
    out = norm(rows.bfloat16())
    assert out.dtype == torch.float32
    assert_close(out, nn.BatchNorm1d(4)(rows.bfloat16().float()))


def test_in_evaluation_the_running_statistics_count():
    rows, _ = rows_and_weights()
    norm = BatchNorm(4).eval()
    assert_close(norm(rows), rows / (1 + norm.eps) ** 0.5)
