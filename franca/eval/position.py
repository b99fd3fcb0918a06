"""How well a patch token gives away its place: the bias that RASA removes."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome, SegmentationInputs
from franca.eval.regression import moments, solve_ridge
from franca.eval.resampling import Evidence, Weights, mean


def positions(grid: tuple[int, int]) -> Float[Tensor, "patches 2"]:
    """Return the (row, column) of every patch, each from 0 to 1; 0 for a grid of one."""
    rows, columns = (torch.arange(n).double() / max(n - 1, 1) for n in grid)
    return torch.cartesian_prod(rows, columns)


def r_squared(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Return the share of variance explained, averaged over row and column.

    Args:
        evidence: [images, 2, 2] (residual, total) sums of squares of (row, column).
        weights: [resamples, images] how often each image counts.
    """
    sums = np.einsum("ri,ist->rst", weights, evidence)
    return np.asarray((1 - sums[:, 0] / np.maximum(sums[:, 1], 1e-12)).mean(1), dtype=np.float64)


def position(
    inputs: SegmentationInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - float64 sums of a small matrix: the CPU is as fast
) -> Outcome:
    """Regress the place of each patch on its token by least squares, on held-out images.

    A scene has a layout (the sky is up), so some position is knowledge and not bias: compare
    checkpoints, or the same checkpoint before and after RASA, and do not read one value alone.

    Args:
        inputs: features; masks play no part.
        seed: unused, nothing is random.
        device: unused.
    """
    test = inputs.test
    target = positions(test.grid)
    repeated = target.expand(len(inputs.train.patches), -1, -1)
    model = solve_ridge(moments(inputs.train.patches, repeated), penalty=0.0)
    places = torch.stack([model(tokens) for tokens in test.patches])
    residual = (places - target).square()
    total = (target - target.mean(0)).square()
    chance = total.expand_as(residual)
    stacked = torch.stack([residual.sum(1), chance.sum(1)], dim=1)
    return Outcome(
        evidence={
            "squares": stacked.numpy(),
            "squares@row": stacked[:, :, :1].numpy(),
            "squares@column": stacked[:, :, 1:].numpy(),
            "squared_error": residual.mean((1, 2)).numpy(),
            "squared_error@chance": chance.mean((1, 2)).numpy(),
        },
        predictions={"place": places.unflatten(1, test.grid).half().numpy()},
    )


BENCHMARK = Benchmark(
    name="position",
    version="1.0",
    protocol="least-squares regression of (row, column) in [0, 1] on patch tokens, "
    "scored on held-out images; lower means less position bias",
    source="Franca, section on RASA; the closed-form probe is ours",
    kind="segmentation",
    quick=True,
    metrics=(
        MetricSpec("r2", "lower", "1", "squares", r_squared, "percentile"),
        MetricSpec("mse", "higher", "1", "squared_error", mean, "percentile"),
    ),
    run=position,
    predictions={"place": "[images, rows, columns, 2] row and column, each from 0 to 1"},
)
