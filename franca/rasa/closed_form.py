"""SAL and LEACE: every linear trace of the targets removed at once, from sums over the tokens.

Both return z' with cov(z', y) = 0, so that no linear regressor beats the mean. With C = cov(z, y),
and any invertible W, z' = z - W^-1 P W (z - mean), P the projector on the columns of W C, gives
cov(z', y) = C - W^-1 P W C = C - W^-1 W C = 0. SAL takes W = I (an orthogonal projector); LEACE
takes W = cov(z)^(-1/2), which moves tokens least. An approximate covariance therefore costs LEACE
some of "least" and nothing of "clean".

SAL: Shao et al., "Gold Doesn't Always Glitter", 2023. LEACE: Belrose et al., 2023, theorem 4.3.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from franca.rasa.linear_map import LinearMap, check_rank
from franca.rasa.moments import Moments

# A final LayerNorm leaves features in a hyperplane, so cov(z) is singular. Relative to its mean
# eigenvalue; by the argument above it takes nothing from "clean".
_RIDGE = 1e-6
# Targets are float32: below this a standard deviation, or a relative singular value, is rounding.
_ROUNDING = 1e-6


def fit_sal(moments: Moments, *, metadata: Mapping[str, Any]) -> LinearMap:
    """Project out the span of cov(z, y): symmetric, idempotent, rank = number of targets.

    Raises:
        ValueError: targets that are constant or depend linearly on each other, or more targets
            than dimensions.
    """
    C = _checked_cross_covariance(moments)
    U = torch.linalg.qr(C).Q
    return LinearMap(
        U.float(), U.T.contiguous().float(), moments.mean.float(), metadata=dict(metadata)
    )


def fit_leace(moments: Moments, *, metadata: Mapping[str, Any]) -> LinearMap:
    """Make the least change (in mean square) after which cov(z', y) = 0: rank = number of targets.

    With S = cov(z) and C = cov(z, y), z' = z - (z - mean) A B for A = S^-1 C V / s and B = (C V /
    s)', where V s^2 V' = C' S^-1 C: so B A = I, and A B C = C.

    Raises:
        ValueError: targets that are constant or depend linearly on each other, or more targets
            than dimensions.
    """
    C = _checked_cross_covariance(moments)
    S = moments.covariance()
    ridge = _RIDGE * S.diagonal().mean()
    X = torch.cholesky_solve(C, torch.linalg.cholesky(S + ridge * torch.eye(len(S)).to(S)))
    square, V = torch.linalg.eigh(C.T @ X)
    scale = V / square.sqrt()
    return LinearMap(
        (X @ scale).float(), (C @ scale).T.float(), moments.mean.float(), metadata=dict(metadata)
    )


def _checked_cross_covariance(moments: Moments) -> Float[Tensor, "dim targets"]:
    """Return cov(z, y) with every target scaled to unit variance and independent of the rest."""
    dim, num_targets = moments.zy.shape
    check_rank(num_targets, dim=dim)
    deviation = moments.target_covariance().diagonal().clamp_min(0).sqrt()
    if not bool((deviation > _ROUNDING).all()):
        constant = int(deviation.argmin()) + 1
        raise ValueError(
            f"target {constant} of {num_targets} is constant, so there is nothing to remove: "
            "leave it out, or let the views vary it (rasa.target)"
        )
    C = moments.cross_covariance() / deviation
    singular = torch.linalg.svdvals(C)
    if not bool(singular[-1] > _ROUNDING * singular[0]):
        raise ValueError(
            f"the {num_targets} targets span fewer than {num_targets} directions of the features: "
            "leave out targets that the others determine (rasa.target)"
        )
    return C
