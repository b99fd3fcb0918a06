"""The iterative methods: regress, remove, repeat. Each round is a file, and a restart goes on.

    folder/round-01.safetensors   weight [targets, D]  the regressor
                                  plane  [targets, D]  its orthonormal directions
                                  header "franca": round, loss of the last epoch

`rasa` is the published method. It starts every regressor at random, so a round also removes what is
left of its start, and planes overlap: the map is no projector, and returns a little of what earlier
rounds took. `rasa_orthogonal` starts at zero and confines each plane to the complement of those
before it: the directions come from the data alone, and the map is I - Q Q'.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from franca.models.weights import write_tensors
from franca.randomness import generator
from franca.rasa.batches import TokenBatches
from franca.rasa.head import plane_of, regression_loss
from franca.rasa.linear_map import LinearMap, check_rank, compose_planes, identity_map
from franca.rasa.moments import check_enough


def fit_rounds(
    batches: TokenBatches,
    *,
    orthogonal: bool,
    num_rounds: int,
    epochs: int,
    learning_rate: float,
    seed: int,
    folder: Path,
) -> list[Float[Tensor, "targets dim"]]:
    """Fit the rounds that `folder` lacks and return the planes of all.

    Args:
        batches: tokens and targets in [0, 1].
        orthogonal: `rasa_orthogonal` rather than `rasa`.
        num_rounds: planes to remove.
        epochs: passes over the batches, per round.
        learning_rate: of AdamW without weight decay; falls to zero along a cosine.
        seed: of the regressors' starts.
        folder: one file a round; a round that has its file is not fitted again.

    Raises:
        ValueError: more directions than dimensions, no more tokens than dimensions, targets outside
            [0, 1], a loss that is not finite.
    """
    check_rank(num_rounds * batches.num_targets, dim=batches.dim)
    check_enough(batches.num_batches * len(batches.batch(0, 0)[0]), dim=batches.dim)
    folder.mkdir(parents=True, exist_ok=True)
    planes: list[Tensor] = []
    for number in range(1, num_rounds + 1):
        path = folder / f"round-{number:02d}.safetensors"
        if not path.is_file():
            weight, loss = fit_round(
                batches,
                removed=_removed(planes, dim=batches.dim),
                start=_start(batches, number=number, seed=seed, zero=orthogonal),
                epochs=epochs,
                learning_rate=learning_rate,
                name=f"rasa round {number}/{num_rounds}",
            )
            beside = torch.cat(planes) if orthogonal and planes else None
            save_round(path, weight, plane_of(weight, beside=beside), number=number, loss=loss)
        planes.append(load_file(path)["plane"])
    return planes


def fit_round(
    batches: TokenBatches,
    *,
    removed: LinearMap,
    start: Float[Tensor, "targets dim"],
    epochs: int,
    learning_rate: float,
    name: str,
) -> tuple[Float[Tensor, "targets dim"], float]:
    """Train one regressor on tokens from which the earlier planes are removed.

    Returns:
        The regressor and its mean loss over the last epoch.

    Raises:
        ValueError: targets outside [0, 1], a loss that is not finite.
    """
    device = batches.batch(0, 0)[0].device
    weight = start.to(device, copy=True).requires_grad_()
    optimiser = torch.optim.AdamW([weight], lr=learning_rate, weight_decay=0.0)
    num_steps, losses = epochs * batches.num_batches, []
    for step in tqdm(range(num_steps), desc=name, unit="step"):
        features, targets = batches.batch(*divmod(step, batches.num_batches))
        if step < batches.num_batches:
            _check_targets(targets)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2
        loss = regression_loss(removed(features), weight, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    last_epoch = torch.stack(losses[-batches.num_batches :]).mean().item()
    if not math.isfinite(last_epoch):
        raise ValueError(
            f"the regression's loss became {last_epoch}: lower rasa.presets.*.learning_rate"
        )
    return weight.detach().cpu(), last_epoch


def save_round(
    path: Path,
    weight: Float[Tensor, "targets dim"],
    plane: Float[Tensor, "targets dim"],
    *,
    number: int,
    loss: float,
) -> None:
    """Write a round's file in one stroke, so that a killed fit leaves whole files only."""
    partial = path.with_suffix(".partial")
    tensors = {"weight": weight.float(), "plane": plane.float()}
    write_tensors(tensors, partial, header={"round": number, "loss": loss})
    partial.replace(path)


def _removed(planes: Sequence[Tensor], *, dim: int) -> LinearMap:
    return compose_planes(planes, metadata={}) if planes else identity_map(dim)


def _start(batches: TokenBatches, *, number: int, seed: int, zero: bool) -> Tensor:
    shape = (batches.num_targets, batches.dim)
    if zero:
        return torch.zeros(shape)
    uniform = torch.rand(shape, generator=generator(seed, "rasa-start", number))
    return (2 * uniform - 1) / math.sqrt(batches.dim)  # what torch.nn.Linear starts from


def _check_targets(targets: Float[Tensor, "tokens targets"]) -> None:
    low, high = targets.min().item(), targets.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"targets reach from {low:g} to {high:g} and a sigmoid from 0 to 1: rescale them"
        )
