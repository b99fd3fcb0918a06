"""Linear probing on cached features: a grid of heads trained side by side, one chosen."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from franca.eval.benchmark import (
    Benchmark,
    ClassificationInputs,
    ImageFeatures,
    MetricSpec,
    Outcome,
)
from franca.eval.resampling import mean
from franca.randomness import generator


def head_input(
    features: ImageFeatures, *, blocks: int, average_patches: bool
) -> Float[Tensor, "images inputs"]:
    """Concatenate the CLS tokens of the last blocks and, if asked, the mean patch token."""
    parts = [features.cls_blocks[:, -blocks:].flatten(1)]
    if average_patches:
        parts.append(features.mean_patch)
    return torch.cat(parts, dim=1).float()


def train_heads(
    features: Float[Tensor, "images inputs"],
    labels: Int[Tensor, " images"],
    *,
    batches: Int[Tensor, "steps batch"],
    weights: Float[Tensor, "classes inputs"],
    learning_rates: Sequence[float],
    momentum: float,
) -> tuple[Float[Tensor, "heads classes inputs"], Float[Tensor, "heads classes"]]:
    """Train one linear head per learning rate from the same weights, all at once.

        for t, batch in enumerate(batches):
            for each head:
                loss = mean cross-entropy of (features[batch] @ W.T + b, labels[batch])
                velocity = momentum * velocity + gradient
                W, b -= rate * (1 + cos(pi * t / steps)) / 2 * velocity

    The heads share no parameter, so training them jointly, as DINOv2 does with the sum of their
    losses (facebookresearch/dinov2@b8931f7, dinov2/eval/linear.py), gives each what it would get
    alone.

    Args:
        features: inputs of the heads.
        labels: their classes.
        batches: rows of `features` for each step.
        weights: initial weights of every head; biases start at 0.
        learning_rates: of each head, already scaled by batch size / 256.
        momentum: of SGD; there is no weight decay.
    """
    heads, (classes, inputs) = len(learning_rates), weights.shape
    # The bias is a weight on a constant input.
    constant = features.new_ones(len(features), 1)
    augmented = torch.cat([features, constant], dim=1)
    initial = torch.cat([weights, weights.new_zeros(classes, 1)], dim=1)
    parameters = initial.repeat(heads, 1, 1)
    velocity = torch.zeros_like(parameters)
    rates = features.new_tensor(learning_rates)[:, None, None]
    targets = one_hot(labels, classes).to(features)
    for step, batch in enumerate(batches):
        x = augmented[batch]
        residual = (x @ parameters.mT).softmax(-1) - targets[batch]
        gradient = residual.mT @ x / len(batch)
        velocity = momentum * velocity + gradient
        cosine = (1 + math.cos(math.pi * step / len(batches))) / 2
        parameters = parameters - rates * cosine * velocity
    return parameters[..., :inputs], parameters[..., inputs]


def draw_batches(
    images: int, *, steps: int, batch_size: int, seed: int, purpose: str
) -> Int[Tensor, "steps batch"]:
    """Run through the images in a new random order again and again, `batch_size` at a time."""
    batch = min(batch_size, images)
    epochs = math.ceil(steps * batch / images)
    orders = [
        torch.randperm(images, generator=generator(seed, purpose, epoch)) for epoch in range(epochs)
    ]
    return torch.cat(orders)[: steps * batch].view(steps, batch)


def split_held_out(images: int, *, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Return the rows to train on and the 10 % (at least one) to choose hyper-parameters on."""
    order = torch.randperm(images, generator=generator(seed, purpose))
    held_out = max(1, images // 10)
    return order[held_out:], order[:held_out]


def linear_cached(
    inputs: ClassificationInputs,
    *,
    seed: int,
    device: torch.device,
    blocks: Sequence[int],
    learning_rates: Sequence[float],
    steps: int,
    batch_size: int,
    momentum: float,
) -> Outcome:
    """Train DINOv2's grid of heads on features without augmentation.

    The head is chosen on a held-out tenth of the training images. `best` is the head that the
    official code would report, the one that is best on the very images that are scored: an upper
    bound, not a result.

    Args:
        inputs: features and labels.
        seed: of initial weights, batches and the held-out tenth.
        device: where to train.
        blocks: how many last blocks feed a head; each also with the mean patch token.
        learning_rates: for a batch of 256, scaled with the batch size.
        steps: of SGD, with the learning rate falling to 0 along a cosine.
        batch_size: images per step.
        momentum: of SGD.
    """
    labels = inputs.train.labels
    fit_rows, held_out = split_held_out(len(labels), seed=seed, purpose="evaluate/linear/held_out")
    order = draw_batches(
        len(fit_rows),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        purpose="evaluate/linear/order",
    )
    batches = fit_rows[order].to(device)
    scaled = [rate * batches.shape[1] / 256 for rate in learning_rates]
    candidates: dict[str, tuple[float, Tensor]] = {}
    kinds = [(count, average) for count in blocks for average in (False, True)]
    for number, (count, average) in enumerate(kinds):
        train, test = (
            head_input(part, blocks=count, average_patches=average).to(device)
            for part in (inputs.train, inputs.test)
        )
        source = generator(seed, "evaluate/linear/weights", number)
        initial = 0.01 * torch.randn(inputs.num_classes, train.shape[1], generator=source)
        weights, bias = train_heads(
            train,
            labels.to(device),
            batches=batches,
            weights=initial.to(device),
            learning_rates=scaled,
            momentum=momentum,
        )
        for rate, head, offset in zip(learning_rates, weights, bias, strict=True):
            guesses = (train[held_out.to(device)] @ head.T + offset).argmax(1).cpu()
            accuracy = float((guesses == labels[held_out]).float().mean())
            hits = (test @ head.T + offset).argmax(1).cpu() == inputs.test.labels
            candidates[f"blocks {count}, mean patch {average}, rate {rate:g}"] = (accuracy, hits)
    chosen = max(candidates, key=lambda name: candidates[name][0])
    best = max(candidates, key=lambda name: int(candidates[name][1].sum()))
    evidence = {
        "correct": candidates[chosen][1].numpy(),
        "correct@best": candidates[best][1].numpy(),
    }
    return Outcome(
        evidence=evidence,
        details={"chosen": chosen, "best": best, "heads": len(candidates)},
    )


BENCHMARK = Benchmark(
    name="linear_cached",
    version="1.0",
    protocol="linear heads on cached CLS and mean patch tokens, no augmentation, "
    "head chosen on a held-out tenth of train",
    source="facebookresearch/dinov2@b8931f7 eval/linear.py, without its augmentation",
    kind="classification",
    quick=False,
    metrics=(MetricSpec("top1", "higher", "fraction", "correct", mean, "wilson"),),
    run=linear_cached,
)
