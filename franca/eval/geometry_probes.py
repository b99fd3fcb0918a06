"""Depth and surface normals from trained probes on four blocks of a frozen model (Probe3D).

Tokens are those of four blocks before the final norm, each patch with the CLS token beside it;
losses, heads, schedule and metrics are Probe3D's. Features are cached, so images are not augmented:
with the reference's colours, crops and flips the numbers would be others. `depth` and `normals` ask
the same of the last block with a closed-form map; they are cheap enough to follow training with.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from franca.eval.benchmark import Benchmark, Outcome
from franca.eval.dense_heads import (
    DptHead,
    HeadName,
    Layers,
    LinearHead,
    expected_depth,
    make_head,
    resize,
)
from franca.eval.depth import depth_errors, depth_metrics, match_scale_shift
from franca.eval.geometry import GeometryInputs, LayerFeatures
from franca.eval.geometry_losses import depth_loss, uncertain_angular_loss
from franca.eval.heads import draw_batches
from franca.eval.normals import normal_errors, normal_metrics
from franca.eval.resampling import by_group, mean_of_groups

_NEAREST = 1e-3  # metres; Probe3D's first bin
_LEAST_RATE = 0.01  # share of the learning rate at both ends of the schedule
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch's defaults, as in the reference

# From a head, its maps and the images they are of: a loss, or errors name -> [images] and what is
# read off the maps, [images, channels, height, width].
Head = LinearHead | DptHead
Loss = Callable[[Head, Tensor, Int[Tensor, " batch"]], Float[Tensor, ""]]
Errors = dict[str, NDArray[np.float64]]
Score = Callable[[Head, Tensor, Int[Tensor, " batch"]], tuple[Errors, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a probe is trained.

    Attributes:
        steps: of AdamW.
        batch_size: images per step.
        learning_rate: at the top of its rise and fall.
        weight_decay: of AdamW.
        warmup: share of the steps in which the rate rises along a line.
        width: channels within the DPT head.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    width: int


def tokens_of(split: LayerFeatures, batch: Int[Tensor, " batch"]) -> Layers:
    """Return the patch tokens of some images as maps, each with the image's CLS token below it."""
    cls, patches = split.tokens[batch].float().mT.tensor_split([1], dim=3)
    maps = [patches.unflatten(3, split.grid), cls[..., None].expand(-1, -1, -1, *split.grid)]
    return torch.cat(maps, dim=2)


def rate_at(step: int, recipe: Recipe) -> float:
    """Return the learning rate of a step: up along a line, down along a quarter of a cosine."""
    rise = recipe.warmup * recipe.steps
    if step <= rise:
        share = step / rise if rise else 1.0
    else:
        share = math.cos(0.5 * math.pi * (step - rise) / (recipe.steps - rise))
    return recipe.learning_rate * (_LEAST_RATE + (1 - _LEAST_RATE) * share)


class AdamW:
    """Decoupled weight decay (Loshchilov & Hutter, 2019), as torch's.

    By hand because building an optimiser of PyTorch imports its compiler: seconds, where a probe of
    the embedded world trains in as many.
    """

    def __init__(self, parameters: Sequence[Tensor], *, weight_decay: float) -> None:
        self._parameters = parameters
        self._decay = weight_decay
        self._moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
        self._step = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], *, rate: float) -> None:
        """Update the parameters in place."""
        self._step += 1
        first, second = (1 - beta**self._step for beta in _BETAS)
        for parameter, gradient, (mean, square) in zip(
            self._parameters, gradients, self._moments, strict=True
        ):
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            parameter.mul_(1 - rate * self._decay)
            spread = (square / second).sqrt_().add_(_EPSILON)
            parameter.addcdiv_(mean, spread, value=-rate / first)


def train_probe(
    head: Head,
    train: LayerFeatures,
    loss: Loss,
    *,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Head:
    """Fit a head to the training images.

    Args:
        head: from tokens to maps.
        train: features and geometry.
        loss: of the maps of a batch.
        recipe: how.
        seed: of the order of the images.
        device: where.
    """
    head.to(device).train()
    parameters = list(head.parameters())
    optimiser = AdamW(parameters, weight_decay=recipe.weight_decay)
    batches = draw_batches(
        len(train.tokens),
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        seed=seed,
        purpose="evaluate/geometry_probes/order",
    )
    for step, batch in enumerate(batches):
        value = loss(head, head(tokens_of(train, batch).to(device)), batch)
        gradients = torch.autograd.grad(value, parameters)
        optimiser.step(gradients, rate=rate_at(step, recipe))
    return head.eval()


def _depths(
    split: LayerFeatures, batch: Int[Tensor, " batch"], device: torch.device
) -> Float[Tensor, "batch height width"]:
    return torch.stack([split.geometry[int(index)].depth for index in batch]).to(device)


def _normals(
    split: LayerFeatures, batch: Int[Tensor, " batch"], device: torch.device
) -> Float[Tensor, "batch 3 height width"]:
    found = [split.geometry[int(index)].normals for index in batch]
    known = [normals for normals in found if normals is not None]
    if len(known) < len(found):
        raise ValueError("probe3d_normals needs an evaluation set with normals")
    return torch.stack(known).to(device)


@torch.no_grad()
def _scored(
    head: Head, test: LayerFeatures, score: Score, *, batch_size: int, device: torch.device
) -> tuple[Errors, NDArray[np.float16]]:
    """Score the test images some at a time.

    Returns:
        Errors, name -> [groups, 2], see `by_group`; what was read off, [images, rows, columns,
        channels], as its mean over each patch.
    """
    parts, maps = [], []
    for batch in torch.arange(len(test.tokens)).split(batch_size):
        errors, found = score(head, head(tokens_of(test, batch).to(device)), batch)
        parts.append(errors)
        maps.append(adaptive_avg_pool2d(found, test.grid).permute(0, 2, 3, 1).half().cpu())
    joined = {
        name: by_group(np.concatenate([part[name] for part in parts]), test.groups)
        for name in parts[0]
    }
    return joined, torch.cat(maps).numpy()


def _probe(
    inputs: GeometryInputs,
    loss: Loss,
    score: Score,
    *,
    quantity: str,
    heads: Sequence[HeadName],
    outputs: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Train and score each head; what "error-variant" is of a head is named error@head-variant."""
    train, evidence, predictions = inputs.train, {}, {}
    for name in heads:
        head = make_head(
            name,
            layers=train.tokens.shape[1],
            channels=2 * train.tokens.shape[3],
            outputs=outputs,
            width=recipe.width,
            seed=seed,
        )
        train_probe(head, train, loss, recipe=recipe, seed=seed, device=device)
        errors, predictions[f"{quantity}@{name}"] = _scored(
            head, inputs.test, score, batch_size=recipe.batch_size, device=device
        )
        for key, rows in errors.items():
            base, separator, variant = key.partition("-")
            evidence[f"{base}@{name}{separator}{variant}"] = rows
    return Outcome(evidence=evidence, predictions=predictions)


def probe_depth(
    inputs: GeometryInputs,
    *,
    seed: int,
    device: torch.device,
    heads: Sequence[HeadName],
    recipe: Mapping[str, Any],
    bins: int,
    farthest: float,
) -> Outcome:
    """Train heads that say how far each pixel is, and compare their depths with the true ones.

    Args:
        inputs: features and depth.
        seed: of initial weights and of the order of the images.
        device: where to train.
        heads: which to train, the headline first.
        recipe: fields of `Recipe`.
        bins: depths between which a head chooses.
        farthest: metres of the last bin; what is farther is unknown.
    """

    def read(head: Head, scores: Tensor, truth: Tensor) -> Tensor:
        found = expected_depth(scores, nearest=_NEAREST, farthest=farthest)[:, None]
        return resize(found, truth.shape[1:], repeats=head.repeats, mode="bilinear")[:, 0]

    def loss(head: Head, scores: Tensor, batch: Tensor) -> Tensor:
        truth = _depths(inputs.train, batch, device)
        return depth_loss(read(head, scores, truth), truth, max_depth=farthest)

    def score(head: Head, scores: Tensor, batch: Tensor) -> tuple[Errors, Tensor]:
        truth = _depths(inputs.test, batch, device)
        maps = read(head, scores, truth)
        found = maps.flatten(1).cpu()
        known = torch.where(truth > farthest, 0.0, truth).flatten(1).cpu()
        shape = depth_errors(match_scale_shift(found, known), known)
        errors = depth_errors(found, known) | {
            f"{name}-scale_invariant": values for name, values in shape.items()
        }
        return errors, maps[:, None]

    return _probe(
        inputs,
        loss,
        score,
        quantity="depth",
        heads=heads,
        outputs=bins,
        recipe=Recipe(**recipe),
        seed=seed,
        device=device,
    )


def probe_normals(
    inputs: GeometryInputs,
    *,
    seed: int,
    device: torch.device,
    heads: Sequence[HeadName],
    recipe: Mapping[str, Any],
) -> Outcome:
    """Train heads that say where each pixel's surface faces, and how sure they are.

    Args:
        inputs: features and normals.
        seed: of initial weights and of the order of the images.
        device: where to train.
        heads: which to train, the headline first.
        recipe: fields of `Recipe`.

    Raises:
        ValueError: the set has no normals.
    """

    def read(head: Head, channels: Tensor, truth: Tensor) -> Tensor:
        return resize(channels, truth.shape[2:], repeats=head.repeats, mode="bicubic")

    def loss(head: Head, channels: Tensor, batch: Tensor) -> Tensor:
        truth = _normals(inputs.train, batch, device)
        valid = truth.square().sum(1) > 0
        return uncertain_angular_loss(read(head, channels, truth), truth, valid)

    def score(head: Head, channels: Tensor, batch: Tensor) -> tuple[Errors, Tensor]:
        truth = _normals(inputs.test, batch, device)
        maps = normalize(read(head, channels, truth)[:, :3], dim=1)
        found = maps.flatten(2).mT.cpu()
        wanted = truth.flatten(2).mT.cpu()
        unknown = (wanted == 0).all(2, keepdim=True)
        return normal_errors(found, wanted.masked_fill(unknown, torch.nan)), maps

    return _probe(
        inputs,
        loss,
        score,
        quantity="normal",
        heads=heads,
        outputs=4,
        recipe=Recipe(**recipe),
        seed=seed,
        device=device,
    )


_PROTOCOL = (
    "heads on tokens and CLS of four blocks before the final norm, Probe3D's losses and schedule, "
    "cached features without augmentation; intervals over scenes"
)

DEPTH = Benchmark(
    name="probe3d_depth",
    version="1.0",
    protocol=f"{_PROTOCOL}; scale_invariant: after the least-squares scale and shift of each image",
    source="mbanani/probe3d@a1f1464; Franca, Table 10",
    kind="geometry",
    quick=False,
    metrics=depth_metrics(mean_of_groups),
    run=probe_depth,
    predictions={"depth": "[images, rows, columns, 1] metres, means over patches"},
)

NORMALS = replace(
    DEPTH,
    name="probe3d_normals",
    protocol=_PROTOCOL,
    metrics=normal_metrics(mean_of_groups),
    run=probe_normals,
    predictions={"normal": "[images, rows, columns, 3] in the camera's frame, means over patches"},
)
