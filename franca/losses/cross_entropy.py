"""Cross-entropy of a linear layer against soft targets, never holding too many logits at once.

With 10^5 prototypes the logits of a batch are the largest tensor of the whole step. They are made,
used for the loss *and* its gradients, and dropped, a few rows at a time: the same products as
autograd would do, in a fraction of the memory.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from franca.models.products import add_product, multiply

Projected = tuple[Tensor, Tensor]
"""(embeddings [rows, dim], prototypes [prototypes, dim]): logits are embeddings @ prototypes.T."""

MAX_LOGITS = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Logits held at once, by default: 16 MiB, about a CPU's cache, and 256 MiB, to fill a GPU."""


def level_weights(
    num_levels: int,
    *,
    weights: Sequence[float] | None = None,
    reduction: Literal["sum", "mean"] = "sum",
) -> tuple[float, ...]:
    """Return the factor of each level's loss.

    Args:
        num_levels: levels of the head, coarsest first.
        weights: relative weight of each level; None means equal ones.
        reduction: `sum` adds the weighted losses, as Franca, which makes the clustering loss
            `num_levels` times as large as DINOv2's; `mean` divides by the sum of the weights.

    Raises:
        ValueError: if the number of weights is not the number of levels, or they sum to 0.
    """
    weights = [1.0] * num_levels if weights is None else weights
    if len(weights) != num_levels:
        raise ValueError(f"{len(weights)} level weights given for {num_levels} levels")
    total = 1.0 if reduction == "sum" else sum(weights)
    if not total:
        raise ValueError("level weights sum to 0: no level would be trained")
    return tuple(weight / total for weight in weights)


def soft_cross_entropy(
    projected: Projected,
    targets: Float[Tensor, "target_rows prototypes"],
    *,
    row_weights: Float[Tensor, " rows"],
    temperature: float,
    max_logits: int | None = None,
) -> Float[Tensor, ""]:
    """Return Σ_rows weight · CE(target, softmax(logits / temperature)).

    The products have the precision of the embeddings, all else is fp32. The gradients are made
    together with the loss and handed over once.

    Its loop form:

        for i in range(rows):
            logits = [dot(embeddings[i], prototype) / temperature for prototype in prototypes]
            for k in range(prototypes):
                target = targets[i % target_rows, k]
                loss -= row_weights[i] * target * log_softmax(logits)[k]

    Args:
        projected: embeddings and prototypes, which are fp32, of the student; both get gradients.
        targets: rows may sum to any mass, such as 2 for the sum of two teacher views. The same
            targets serve every `target_rows` embeddings in turn.
        row_weights: constants.
        temperature: of the student.
        max_logits: rows are worked off in chunks of at most that many logits; None means as many as
            `MAX_LOGITS` has for the device.
    """
    embeddings, prototypes = projected
    at_once = max_logits or MAX_LOGITS[embeddings.device.type]
    chunk = max(1, at_once // len(prototypes))
    streamed = cast("Callable[..., Tensor]", _Streamed.apply)
    with torch.autocast(embeddings.device.type, enabled=False):
        return streamed(embeddings, prototypes, targets, row_weights, temperature, chunk)


class _Streamed(torch.autograd.Function):
    """At most `chunk` rows of logits at a time; gradients are made on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        embeddings: Tensor,
        prototypes: Tensor,
        targets: Tensor,
        row_weights: Tensor,
        temperature: float,
        chunk: int,
    ) -> Tensor:
        loss = prototypes.new_zeros(())
        embedding_grad = torch.empty_like(embeddings)
        prototype_grad = torch.zeros_like(prototypes)
        factors = prototypes.to(embeddings.dtype)  # of products
        buffer = targets.new_empty(min(chunk, len(targets)), len(prototypes))
        for first in range(0, len(embeddings), max(1, len(targets))):
            for start in range(0, len(targets), chunk):
                target = targets[start : start + chunk]
                rows = slice(first + start, first + start + len(target))
                weights, mass = row_weights[rows], target.sum(dim=1)
                # One matrix, rewritten: logits, exponentials, gradient.
                matrix = multiply(embeddings[rows], factors.T, out=buffer[: len(target)])
                hits = torch.bmm(target[:, None], matrix[:, :, None]).flatten()
                top = matrix.amax(dim=1)
                matrix.sub_(top[:, None]).mul_(1 / temperature).exp_()
                total = matrix.sum(dim=1)
                loss += weights @ (mass * (top / temperature + total.log()) - hits / temperature)
                # d CE / d logits = mass * softmax - target
                weights = weights / temperature
                matrix.mul_((weights * mass / total)[:, None])
                matrix.addcmul_(target, weights[:, None], value=-1)
                gradient = matrix.to(embeddings.dtype)
                torch.mm(gradient, factors, out=embedding_grad[rows])
                add_product(prototype_grad, gradient.T, embeddings[rows])
        ctx.gradients = embedding_grad, prototype_grad
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        if ctx.gradients is None:
            raise RuntimeError("the streamed cross-entropy hands its gradients over once only")
        embedding_grad, prototype_grad = ctx.gradients
        ctx.gradients = None  # scaled in place: prototypes may be the largest matrix of all
        return embedding_grad.mul_(grad), prototype_grad.mul_(grad), None, None, None, None
