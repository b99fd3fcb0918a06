"""Closed-form linear regression from patch tokens, accumulated in float64 image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from franca.eval.features import StreamedPatches

# Relative to the largest eigenvalue of the Gram matrix: directions below it hold rounding only
# (RASA removes directions exactly, half-precision storage brings their rounding back).
_RANK_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Moments:
    """Sums over tokens from which any ridge regression follows.

    Attributes:
        count: number of tokens.
        x: sum of features.
        y: sum of targets.
        xx: sum of outer products of the features.
        xy: sum of outer products of features and targets.
    """

    count: int
    x: Float[Tensor, " dim"]
    y: Float[Tensor, " targets"]
    xx: Float[Tensor, "dim dim"]
    xy: Float[Tensor, "dim targets"]


@dataclass(frozen=True)
class LinearMap:
    """An affine map from features to targets."""

    weights: Float[Tensor, "dim targets"]
    bias: Float[Tensor, " targets"]

    def __call__(self, features: Float[Tensor, "tokens dim"]) -> Float[Tensor, "tokens targets"]:
        """Predict in float64."""
        return features.double() @ self.weights + self.bias


Features = Float[Tensor, "images patches dim"] | StreamedPatches


def moments(features: Features, targets: Float[Tensor, "images patches targets"]) -> Moments:
    """Accumulate the moments of all tokens whose target is known (not NaN).

    Raises:
        ValueError: no target is known.
    """
    dim, num_targets = features.shape[2], targets.shape[2]
    count = 0
    x, y = torch.zeros(dim).double(), torch.zeros(num_targets).double()
    xx, xy = torch.zeros(dim, dim).double(), torch.zeros(dim, num_targets).double()
    for tokens, wanted in zip(features, targets, strict=True):
        known = ~wanted.isnan().any(1)
        rows, values = tokens[known].double(), wanted[known].double()
        count += len(rows)
        x += rows.sum(0)
        y += values.sum(0)
        xx += rows.T @ rows
        xy += rows.T @ values
    if count == 0:
        raise ValueError("nothing to regress on: the training images hold no valid target")
    return Moments(count=count, x=x, y=y, xx=xx, xy=xy)


def solve_ridge(sums: Moments, *, penalty: float) -> LinearMap:
    """Minimise mean squared error + penalty * mean feature variance * ||W||², free intercept.

    The penalty is relative to the scale of the features, so one value serves every model. With
    penalty 0 this is ordinary least squares, of smallest norm where features are redundant.

    Args:
        sums: of the training tokens.
        penalty: dimensionless, ≥ 0.
    """
    mean_x, mean_y = sums.x / sums.count, sums.y / sums.count
    covariance = sums.xx / sums.count - torch.outer(mean_x, mean_x)
    cross = sums.xy / sums.count - torch.outer(mean_x, mean_y)
    damping = penalty * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh(covariance)
    # Cancellation against the mean can leave rounding as large as eps * ||mean||².
    noise = max(float(values[-1]) * _RANK_TOLERANCE, float(mean_x @ mean_x) * 1e-14)
    inverse = torch.where(values > noise, 1 / (values + damping).clamp_min(1e-300), 0.0)
    weights = vectors @ (inverse[:, None] * (vectors.T @ cross))
    return LinearMap(weights=weights, bias=mean_y - mean_x @ weights)


def fit_ridge(
    features: Features,
    targets: Float[Tensor, "images patches targets"],
    *,
    penalties: Sequence[float],
) -> tuple[LinearMap, float]:
    """Choose the penalty on every tenth image, then fit on all images.

    Args:
        features: patch tokens.
        targets: NaN where unknown.
        penalties: candidates, in the order of preference on ties.

    Returns:
        The map and the penalty chosen.
    """
    if len(penalties) > 1 and len(features) > 1:
        chosen = _choose_penalty(features, targets, penalties=penalties)
    else:
        chosen = penalties[0]
    return solve_ridge(moments(features, targets), penalty=chosen), chosen


def _choose_penalty(features: Features, targets: Tensor, *, penalties: Sequence[float]) -> float:
    held_out = torch.arange(len(features)) % 10 == 0
    if targets[held_out].isnan().any(2).all() or targets[~held_out].isnan().any(2).all():
        return penalties[0]
    sums = moments(_of(features, ~held_out), targets[~held_out])
    maps = [solve_ridge(sums, penalty=penalty) for penalty in penalties]
    errors = [0.0] * len(penalties)
    for tokens, wanted in zip(_of(features, held_out), targets[held_out], strict=True):
        known = ~wanted.isnan().any(1)
        rows, truth = tokens[known], wanted[known].double()
        for number, predict in enumerate(maps):
            errors[number] += float((predict(rows) - truth).square().sum())
    return penalties[errors.index(min(errors))]


def _of(features: Tensor | StreamedPatches, images: Tensor) -> Tensor | StreamedPatches:
    """Return the tokens of the images that a mask says."""
    return features[images] if isinstance(features, Tensor) else features.select(images)
