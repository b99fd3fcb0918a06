"""Cross-entropy of a linear layer: streamed and plain forms, gradients, memory, extremes."""

import pytest
import torch
from torch.nn.functional import log_softmax
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from franca.losses.cross_entropy import level_weights, soft_cross_entropy


def problem(*, rows=12, target_rows=12, dim=5, prototypes=40, scale=1.0):
    torch.manual_seed(0)
    embeddings = (scale * torch.randn(rows, dim)).requires_grad_()
    weights = torch.randn(prototypes, dim, requires_grad=True)
    return embeddings, weights, torch.randn(target_rows, prototypes).softmax(1), torch.rand(rows)


def in_double(embeddings, prototypes, targets, row_weights, temperature):
    """Return loss and gradients in float64 with autograd."""
    x, w = (t.detach().double().requires_grad_() for t in (embeddings, prototypes))
    logp = log_softmax(x @ w.T / temperature, dim=1)
    targets = targets.double().repeat(len(x) // len(targets), 1)
    loss = -(row_weights.double()[:, None] * targets * logp).sum()
    loss.backward()
    return loss, x.grad, w.grad


@pytest.mark.parametrize("max_logits", [10**6, 40, 41, 5 * 40, 1])
@pytest.mark.parametrize("target_rows", [12, 4, 3])
def test_loss_and_gradients_equal_float64_for_every_chunk(max_logits, target_rows):
    x, w, targets, row_weights = problem(target_rows=target_rows)
    loss = soft_cross_entropy(
        (x, w), targets, row_weights=row_weights, temperature=0.1, max_logits=max_logits
    )
    (2 * loss).backward()
    wanted, x_grad, w_grad = in_double(x, w, targets, row_weights, 0.1)
    assert_close(loss.double(), wanted, atol=0, rtol=1e-5)
    assert_close(x.grad.double(), 2 * x_grad, atol=1e-4, rtol=1e-5)
    assert_close(w.grad.double(), 2 * w_grad, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_targets_of_any_mass(max_logits):
    x, w, targets, row_weights = problem()

    def loss(scale):
        return soft_cross_entropy(
            (x, w), scale * targets, row_weights=row_weights, temperature=0.1, max_logits=max_logits
        )

    assert_close(loss(2.0), 2 * loss(1.0))
    assert loss(0.0) == 0


@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_extreme_logits_stay_finite(max_logits):
    x, w, targets, row_weights = problem(scale=1e4)
    loss = soft_cross_entropy(
        (x, w), targets, row_weights=row_weights, temperature=0.1, max_logits=max_logits
    )
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all()
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_a_perfect_prediction_costs_the_entropy_of_the_target_and_has_no_gradient(max_logits):
    x, w, _, row_weights = problem()
    targets = (x @ w.T / 0.1).softmax(dim=1).detach()
    loss = soft_cross_entropy(
        (x, w), targets, row_weights=row_weights, temperature=0.1, max_logits=max_logits
    )
    loss.backward()
    entropy = torch.special.entr(targets).sum(dim=1)
    assert_close(loss, row_weights @ entropy, atol=1e-5, rtol=1e-4)
    assert x.grad.abs().max() < 1e-4


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize(("max_logits", "largest"), [(10**6, 32 * 500), (8 * 500, 8 * 500)])
def test_streaming_never_makes_more_logits_than_allowed(max_logits, largest):
    x, w, targets, row_weights = problem(rows=64, target_rows=32, prototypes=500)
    with LargestTensor() as mode:
        soft_cross_entropy(
            (x, w), targets, row_weights=row_weights, temperature=0.1, max_logits=max_logits
        ).backward()
    assert mode.elements == largest


def test_no_rows_cost_nothing_and_keep_the_graph():
    x, w, targets, row_weights = problem(rows=0, target_rows=0)
    loss = soft_cross_entropy((x, w), targets, row_weights=row_weights, temperature=0.1)
    loss.backward()
    assert loss == 0
    assert not w.grad.any()


@pytest.mark.parametrize("max_logits", [10**6, 5 * 40])
def test_half_precision_rounds_factors_of_products_and_nothing_else(max_logits):
    x, w, targets, row_weights = problem(target_rows=6)
    half = x.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = soft_cross_entropy(
            (half, w), targets, row_weights=row_weights, temperature=1.0, max_logits=max_logits
        )
    loss.backward()
    wanted, x_grad, w_grad = in_double(half, w.bfloat16(), targets, row_weights, 1.0)
    assert loss.dtype == w.grad.dtype == torch.float32
    assert half.grad.dtype == torch.bfloat16
    # A logit on a CPU is rounded to 8 bits, and so are the factors of the gradients.
    assert_close(loss.double(), wanted, atol=0, rtol=2**-9)
    for mine, exact in [(half.grad, x_grad), (w.grad, w_grad)]:
        assert (mine.double() - exact).norm() < 2**-7 * exact.norm()


def test_single_precision_stays_single_under_autocast():
    x, w, targets, row_weights = problem()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = soft_cross_entropy((x, w), targets, row_weights=row_weights, temperature=0.1)
    expected = soft_cross_entropy((x, w), targets, row_weights=row_weights, temperature=0.1)
    assert torch.equal(loss, expected)


def test_level_weights():
    assert level_weights(3) == (1.0, 1.0, 1.0)
    assert level_weights(4, reduction="mean") == (0.25,) * 4
    assert level_weights(2, weights=[1.0, 3.0]) == (1.0, 3.0)
    assert level_weights(2, weights=[1.0, 3.0], reduction="mean") == (0.25, 0.75)
    with pytest.raises(ValueError, match="2 level weights given for 3 levels"):
        level_weights(3, weights=[1.0, 1.0])
    with pytest.raises(ValueError, match="sum to 0"):
        level_weights(2, weights=[0.0, 0.0], reduction="mean")


def test_the_streamed_form_refuses_a_second_backward_pass():
    x, w, targets, row_weights = problem()
    loss = soft_cross_entropy(
        (x, w), targets, row_weights=row_weights, temperature=0.1, max_logits=40
    )
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        loss.backward()
