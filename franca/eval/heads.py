"""Linear heads on frozen features: DINOv2's grid, trained side by side on one stream of batches."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from franca.eval.benchmark import ImageFeatures
from franca.randomness import generator


@dataclass(frozen=True, order=True)
class HeadInput:
    """What a head reads: CLS tokens of the last `blocks`, and the mean patch token if asked."""

    blocks: int
    average_patches: bool

    def __call__(self, features: ImageFeatures) -> Float[Tensor, "images inputs"]:
        """Concatenate the parts."""
        parts = [features.cls_blocks[:, -self.blocks :].flatten(1)]
        if self.average_patches:
            parts.append(features.mean_patch)
        return torch.cat(parts, dim=1).float()

    def __str__(self) -> str:
        """Return how the record names it."""
        return f"blocks {self.blocks}, mean patch {self.average_patches}"


class Heads:
    """Heads on one kind of input, one for each learning rate, all from the same weights.

        for t, batch in enumerate(batches):
            for each head:
                loss = mean cross-entropy of (features[batch] @ W.T + b, labels[batch])
                velocity = momentum * velocity + gradient
                W, b -= rate * (1 + cos(pi * t / steps)) / 2 * velocity

    The heads share no parameter, so training them jointly, as DINOv2 does with the sum of their
    losses (facebookresearch/dinov2@b8931f7, dinov2/eval/linear.py), gives each what it would get
    alone.

    Args:
        weights: initial weights of every head; biases start at 0.
        learning_rates: of each head, already scaled by batch size / 256.
        momentum: of SGD; there is no weight decay.
    """

    def __init__(
        self,
        weights: Float[Tensor, "classes inputs"],
        *,
        learning_rates: Sequence[float],
        momentum: float,
    ) -> None:
        # The bias is a weight on a constant input.
        initial = torch.cat([weights, weights.new_zeros(len(weights), 1)], dim=1)
        self._parameters = initial.repeat(len(learning_rates), 1, 1)
        self._velocity = torch.zeros_like(self._parameters)
        self._rates = weights.new_tensor(learning_rates)[:, None, None]
        self._momentum = momentum

    @property
    def weights(self) -> Float[Tensor, "heads classes inputs"]:
        """The weights of every head."""
        return self._parameters[..., :-1]

    @property
    def bias(self) -> Float[Tensor, "heads classes"]:
        """The biases of every head."""
        return self._parameters[..., -1]

    def step(
        self, x: Float[Tensor, "batch inputs"], labels: Int[Tensor, " batch"], *, share: float
    ) -> Float[Tensor, " heads"]:
        """Take one step at `share` of the learning rates; return each head's loss before it."""
        augmented = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
        scores = (augmented @ self._parameters.mT).log_softmax(-1)
        rows = torch.arange(len(x), device=x.device)
        losses = -scores[:, rows, labels].mean(1)
        residual = scores.exp()
        residual[:, rows, labels] -= 1
        gradient = residual.mT @ augmented / len(x)
        self._velocity = self._momentum * self._velocity + gradient
        self._parameters = self._parameters - self._rates * share * self._velocity
        return losses

    def logits(self, x: Float[Tensor, "images inputs"]) -> Float[Tensor, "heads images classes"]:
        """Return what every head says of the images."""
        return x @ self.weights.mT + self.bias[:, None]


def train_heads(
    batches: Iterable[ImageFeatures],
    *,
    inputs: Sequence[HeadInput],
    num_classes: int,
    learning_rates: Sequence[float],
    momentum: float,
    steps: int,
    seed: int,
    device: torch.device,
) -> dict[HeadInput, Heads]:
    """Train the whole grid of heads, every head on the same batches.

    Args:
        batches: `steps` of them, with their labels.
        inputs: what the heads read; one head for each of these and each learning rate.
        num_classes: outputs of a head.
        learning_rates: for a batch of 256; scaled by the size of the first batch.
        momentum: of SGD.
        steps: the learning rate falls to 0 over so many, along a cosine.
        seed: of the initial weights.
        device: where to train.
    """
    grid: dict[HeadInput, Heads] = {}
    bar = tqdm(batches, total=steps, desc="linear heads", unit="step", leave=False)
    for step, batch in enumerate(bar):
        labels = batch.labels.to(device)
        share = (1 + math.cos(math.pi * step / steps)) / 2
        for number, kind in enumerate(inputs):
            x = kind(batch).to(device)
            if step == 0:
                source = generator(seed, "evaluate/linear/weights", number)
                initial = 0.01 * torch.randn(num_classes, x.shape[1], generator=source)
                grid[kind] = Heads(
                    initial.to(device),
                    learning_rates=[rate * len(x) / 256 for rate in learning_rates],
                    momentum=momentum,
                )
            grid[kind].step(x, labels, share=share)
    return grid


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


def split_held_out(
    images: int, *, seed: int, purpose: str, share: float = 0.1
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " held_out"]]:
    """Return the rows to train on and those (at least one) to choose hyper-parameters on."""
    order = torch.randperm(images, generator=generator(seed, purpose))
    held_out = max(1, int(images * share))
    return order[held_out:], order[:held_out]
