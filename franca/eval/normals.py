"""Surface normals from a linear map on patch tokens."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome, SegmentationInputs, share
from franca.eval.regression import fit_ridge
from franca.eval.resampling import Statistic, mean

_THRESHOLDS = {"within11": 11.25, "within22": 22.5, "within30": 30.0}  # degrees


def normal_errors(
    prediction: Float[Tensor, "images points 3"], truth: Float[Tensor, "images points 3"]
) -> dict[str, NDArray[np.float64]]:
    """Compare directions image by image; points whose truth is NaN do not count.

        angle = acos(prediction · truth / (|prediction| |truth|)) in degrees
        rmse = sqrt(mean(angle²)); within11, within22, within30 = shares of small angles

    Returns:
        name -> [images], NaN where an image has no valid point.
    """
    errors: dict[str, list[float]] = {name: [] for name in ("rmse", *_THRESHOLDS)}
    for guess, true in zip(prediction.double(), truth.double(), strict=True):
        valid = ~true.isnan().any(1)
        cosine = (normalize(guess[valid], dim=1) * normalize(true[valid], dim=1)).sum(1)
        angle = cosine.clamp(-1, 1).acos().rad2deg()
        errors["rmse"].append(float(angle.square().mean().sqrt()))
        for name, threshold in _THRESHOLDS.items():
            errors[name].append(float((angle < threshold).double().mean()))
    return {name: np.array(values) for name, values in errors.items()}


def normal_metrics(statistic: Statistic) -> tuple[MetricSpec, ...]:
    """Return what is reported of `normal_errors`."""
    close = (share(name, name, statistic) for name in _THRESHOLDS)
    return (MetricSpec("rmse", "lower", "degree", "rmse", statistic, "percentile"), *close)


def normals(
    inputs: SegmentationInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - float64 sums of a small matrix: the CPU is as fast
    penalties: Sequence[float],
) -> Outcome:
    """Regress unit normals on patch tokens by ridge and score the angles at patch resolution.

    Args:
        inputs: features and normals.
        seed: unused, nothing is random.
        device: unused.
        penalties: candidates, see `fit_ridge`.

    Raises:
        ValueError: the set has no normals.
    """
    if inputs.train.normals is None or inputs.test.normals is None:
        raise ValueError("normals needs an evaluation set with a Normals folder")
    model, chosen = fit_ridge(inputs.train.patches, inputs.train.normals, penalties=penalties)
    guess = torch.stack([model(tokens) for tokens in inputs.test.patches])
    maps = normalize(guess, dim=2).unflatten(1, inputs.test.grid)
    return Outcome(
        evidence=normal_errors(guess, inputs.test.normals),
        predictions={"normal": maps.half().numpy()},
        details={"penalty": chosen},
    )


BENCHMARK = Benchmark(
    name="normals",
    version="1.0",
    protocol="ridge regression of unit normals on patch tokens, scored at patch resolution",
    source="metrics: mbanani/probe3d@a1f1464; the closed-form probe is ours",
    kind="segmentation",
    quick=True,
    metrics=normal_metrics(mean),
    run=normals,
    predictions={"normal": "[images, rows, columns, 3] unit vectors in the camera's frame"},
)
