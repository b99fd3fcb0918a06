"""One round of RASA: regress the targets from tokens, then take the regressor's plane away.

Paper: section 2.3 and equation 3, whose signs are misprinted; this is what the released code does
(https://github.com/valeoai/Franca, rasa/src/rasa_head.py).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

_PARALLEL = 1e-6  # sine of the angle below which two regressors count as one


def predict(
    features: Float[Tensor, "tokens dim"], weight: Float[Tensor, "targets dim"]
) -> Float[Tensor, "tokens targets"]:
    """Return sigmoid(W z). There is no bias: sigmoid(0) = 1/2 is the mean of a position already."""
    return torch.sigmoid(features @ weight.T)


def regression_loss(
    features: Float[Tensor, "tokens dim"],
    weight: Float[Tensor, "targets dim"],
    targets: Float[Tensor, "tokens targets"],
) -> Float[Tensor, ""]:
    """Return the mean squared error over tokens and targets.

    for token z, target y:
        for c in range(targets):
            loss += (sigmoid(w_c . z) - y_c)^2 / (tokens * targets)
    """
    return (predict(features, weight) - targets).square().mean()


def plane_of(
    weight: Float[Tensor, "targets dim"], *, beside: Float[Tensor, "removed dim"] | None = None
) -> Float[Tensor, "targets dim"]:
    """Orthonormalise a regressor's rows by Gram-Schmidt, in float64.

    Args:
        weight: one row a target.
        beside: orthonormal rows that the plane must be orthogonal to as well
            (the planes removed before, for `rasa_orthogonal`).

    Raises:
        ValueError: a row that is zero, or lies in the span of those before it.
    """
    base = weight.new_zeros(0, weight.shape[1]) if beside is None else beside
    rows = base.double()
    for index, row in enumerate(weight.double()):
        rest = row
        for _ in range(2):  # once loses digits for near-parallel rows; twice is enough (Kahan)
            rest = rest - (rest @ rows.T) @ rows
        if not rest.norm() > _PARALLEL * row.norm():
            raise ValueError(
                f"regressor of target {index + 1} is zero or a combination of the others: "
                "use independent targets, more steps, or fewer rounds (rasa.presets.*)"
            )
        rows = torch.cat([rows, (rest / rest.norm())[None]])
    return rows[len(base) :]


def remove_plane(
    features: Float[Tensor, "*batch dim"], plane: Float[Tensor, "directions dim"]
) -> Float[Tensor, "*batch dim"]:
    """Subtract the part of every token that lies in the plane: z - (z U') U."""
    U = plane.to(features)
    return features - (features @ U.T) @ U


def released_weights(state: Mapping[str, Tensor]) -> list[Float[Tensor, "targets dim"]]:
    """Order the regressors of a released RASA head as they are applied.

    The released files hold `pre_pos_layers.{i}.weight`, applied in order, then `pos_pred.weight`: 9
    tensors in v1.0.0, 10 in v1.1.0. The prefix `rasa_head.` may occur.

    Raises:
        ValueError: other keys, or a gap in the numbering.
    """
    weights = {name.removeprefix("rasa_head."): weight for name, weight in state.items()}
    names = [f"pre_pos_layers.{index}.weight" for index in range(len(weights) - 1)]
    names.append("pos_pred.weight")
    if set(weights) != set(names):
        odd = sorted(set(weights) ^ set(names))
        raise ValueError(
            f"not a released RASA head: {odd[0]} is missing or unknown among {len(weights)} "
            "tensors; expected pre_pos_layers.0.weight ... and pos_pred.weight"
        )
    return [weights[name] for name in names]
