"""Depth from a linear map on patch tokens: how much geometry can be read off them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome, SegmentationInputs, share
from franca.eval.regression import fit_ridge
from franca.eval.resampling import Statistic, mean

_SMALLEST_DEPTH = 1e-3  # metres; Probe3D's lower end


def depth_errors(
    prediction: Float[Tensor, "images points"], truth: Float[Tensor, "images points"]
) -> dict[str, NDArray[np.float64]]:
    """Compare depths image by image; points whose truth is not positive do not count.

        ratio = max(prediction / truth, truth / prediction)
        delta1, delta2, delta3 = shares of the points with ratio < 1.25, 1.25², 1.25³
        rmse = sqrt(mean((prediction - truth)²))

    Args:
        prediction: metres.
        truth: metres; 0 or NaN is invalid.

    Returns:
        name -> [images], NaN where an image has no valid point.
    """
    errors: dict[str, list[float]] = {name: [] for name in ("rmse", "delta1", "delta2", "delta3")}
    for guess, true in zip(prediction.double(), truth.double(), strict=True):
        valid = true > 0
        guess, true = guess[valid], true[valid]
        ratio = torch.maximum(guess / true, true / guess)
        # A negative guess has a negative first ratio and a negative second: never close.
        close = torch.where(guess > 0, ratio, torch.inf)
        errors["rmse"].append(float((guess - true).square().mean().sqrt()))
        for power in (1, 2, 3):
            errors[f"delta{power}"].append(float((close < 1.25**power).double().mean()))
    return {name: np.array(values) for name, values in errors.items()}


def depth_metrics(statistic: Statistic) -> tuple[MetricSpec, ...]:
    """Return what is reported of `depth_errors`."""
    close = (share(name, name, statistic) for name in ("delta1", "delta2", "delta3"))
    return (MetricSpec("rmse", "lower", "m", "rmse", statistic, "percentile"), *close)


def match_scale_shift(
    prediction: Float[Tensor, "images points"], truth: Float[Tensor, "images points"]
) -> Float[Tensor, "images points"]:
    """Bring each prediction to the truth by the least-squares scale and shift (Probe3D).

    What then remains is the error in the shape of the scene; images without a valid point, or
    with a constant prediction, are shifted only.
    """
    matched = prediction.double().clone()
    for row, true in zip(matched, truth.double(), strict=True):
        valid = true > 0
        if not valid.any():
            continue
        guess, wanted = row[valid], true[valid]
        spread = (guess - guess.mean()).square().mean()
        covariance = ((guess - guess.mean()) * (wanted - wanted.mean())).mean()
        scale = covariance / spread if spread > 1e-12 else torch.zeros_like(spread)
        row.copy_(scale * (row - guess.mean()) + wanted.mean())
    return matched


def depth(
    inputs: SegmentationInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - float64 sums of a small matrix: the CPU is as fast
    penalties: Sequence[float],
) -> Outcome:
    """Regress log-depth on patch tokens by ridge and score it at patch resolution.

    Args:
        inputs: features and depth.
        seed: unused, nothing is random.
        device: unused.
        penalties: candidates, see `fit_ridge`.

    Raises:
        ValueError: the set has no depth.
    """
    if inputs.train.depth is None or inputs.test.depth is None:
        raise ValueError("depth needs an evaluation set with a Depth folder")
    target = inputs.train.depth.clamp_min(_SMALLEST_DEPTH).log()[..., None]
    model, chosen = fit_ridge(inputs.train.patches, target, penalties=penalties)
    logs = torch.stack([model(tokens)[:, 0] for tokens in inputs.test.patches])
    known = target[~target.isnan()]
    # Extrapolation in the logarithm explodes; nothing lies outside what was ever seen.
    guess = logs.clamp(known.min(), known.max()).exp()
    truth = inputs.test.depth
    evidence = depth_errors(guess, truth)
    shape = depth_errors(match_scale_shift(guess, truth), truth)
    evidence |= {f"{name}@scale_invariant": values for name, values in shape.items()}
    return Outcome(
        evidence=evidence,
        predictions={"depth": guess.unflatten(1, inputs.test.grid).half().numpy()},
        details={"penalty": chosen},
    )


BENCHMARK = Benchmark(
    name="depth",
    version="1.0",
    protocol="ridge regression of log-depth on patch tokens, scored at patch resolution; "
    "scale_invariant: after the least-squares scale and shift of each image",
    source="metrics: mbanani/probe3d@a1f1464; the closed-form probe is ours",
    kind="segmentation",
    quick=True,
    metrics=depth_metrics(mean),
    run=depth,
    predictions={"depth": "[images, rows, columns] metres, of patches"},
)
