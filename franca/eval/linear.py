"""Linear probing: DINOv2's grid of heads, trained on-line on random crops or on cached features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from franca.eval.benchmark import (
    CLASSES,
    Benchmark,
    ClassificationInputs,
    ImageFeatures,
    Outcome,
    share,
)
from franca.eval.heads import HeadInput, Heads, draw_batches, split_held_out, train_heads
from franca.eval.inputs.contracts import ProbeInputs
from franca.eval.resampling import mean
from franca.eval.transforms import RandomCrop


@dataclass(frozen=True)
class ChosenHead:
    """One head of the grid.

    Attributes:
        reads: its input.
        rate: its learning rate, for a batch of 256.
        weights: likewise, with the bias.
        bias: added to the logits.
    """

    reads: HeadInput
    rate: float
    weights: Float[Tensor, "classes inputs"]
    bias: Float[Tensor, " classes"]

    def logits(self, features: ImageFeatures) -> Float[Tensor, "images classes"]:
        """Return what it says of the images, on the device of its weights."""
        return self.reads(features).to(self.weights.device) @ self.weights.T + self.bias

    def __str__(self) -> str:
        """Return how the record names it."""
        return f"{self.reads}, rate {self.rate:g}"


def hits(
    logits: Float[Tensor, "images classes"], inputs: ProbeInputs, *, restricted: bool
) -> Bool[Tensor, " images"]:
    """Say which images are classified right.

    Args:
        logits: over the classes that the head knows.
        inputs: the scored images: the known class behind each of theirs, or the accepted ones.
        restricted: let only classes that the scored set has compete.
    """
    if inputs.accepted is not None:
        return inputs.accepted.gather(1, logits.argmax(1, keepdim=True).cpu())[:, 0]
    columns = inputs.columns.to(logits.device)
    guesses = logits[:, columns].argmax(1).cpu() if restricted else logits.argmax(1).cpu()
    return guesses == (inputs.test.labels if restricted else inputs.columns[inputs.test.labels])


def probe_heads(
    inputs: ProbeInputs,
    *,
    seed: int,
    device: torch.device,
    blocks: Sequence[int],
    learning_rates: Sequence[float],
    steps: int,
    batch_size: int,
    momentum: float,
    held_out: float,
    crop_scale: tuple[float, float] | None,
    flip: float,
) -> dict[str, ChosenHead]:
    """Train the grid once for these inputs and settings; return the heads worth keeping.

    Returns:
        "chosen": best on the held-out share of train, if there is one. "best": best on the
        validation images, which is what the official code reports.
    """
    grid = [HeadInput(count, average) for count in blocks for average in (False, True)]
    settings = {
        "blocks": list(blocks), "rates": list(learning_rates), "steps": steps, "flip": flip,
        "batch": batch_size, "momentum": momentum, "held_out": held_out, "seed": seed,
        "scale": crop_scale and list(crop_scale),
    }  # fmt: skip

    def train() -> dict[str, Tensor]:
        rows = torch.arange(len(inputs.labels))
        kept, judges = rows, rows[:0]
        if held_out:
            kept, judges = split_held_out(
                len(rows), seed=seed, purpose="evaluate/linear/held_out", share=held_out
            )
        order = kept[
            draw_batches(
                len(kept),
                steps=steps,
                batch_size=batch_size,
                seed=seed,
                purpose="evaluate/linear/order",
            )
        ]
        augment = RandomCrop(scale=crop_scale, flip=flip, seed=seed) if crop_scale else None
        heads = train_heads(
            inputs.stream(list(order), augment),
            inputs=grid,
            num_classes=inputs.num_classes,
            learning_rates=learning_rates,
            momentum=momentum,
            steps=steps,
            seed=seed,
            device=device,
        )
        choices = {"best": [inputs.validation]}
        if held_out:
            choices["chosen"] = list(inputs.stream(list(judges.split(batch_size)), None))
        found: dict[str, Tensor] = {}
        for name, images in choices.items():
            counts = torch.stack([_right(heads[kind], kind, images) for kind in grid])
            place = int(counts.flatten().argmax())
            kind, rate = divmod(place, len(learning_rates))
            found |= {
                f"{name}/place": torch.tensor([kind, rate]),
                f"{name}/weights": heads[grid[kind]].weights[rate].cpu().contiguous(),
                f"{name}/bias": heads[grid[kind]].bias[rate].cpu().contiguous(),
            }
        return found

    stored = inputs.keep(settings, train)
    heads = {}
    for name in ("chosen", "best") if held_out else ("best",):
        kind, rate = stored[f"{name}/place"].tolist()
        heads[name] = ChosenHead(
            reads=grid[kind],
            rate=learning_rates[rate],
            weights=stored[f"{name}/weights"].to(device),
            bias=stored[f"{name}/bias"].to(device),
        )
    return heads


def _right(heads: Heads, kind: HeadInput, images: list[ImageFeatures]) -> Int[Tensor, " heads"]:
    """Count the images that each head classifies right, in parts that fit the memory."""
    device = heads.weights.device
    total = torch.zeros(len(heads.weights), dtype=torch.int64)
    for part in images:
        x = kind(part)
        for rows, labels in zip(x.split(1024), part.labels.split(1024), strict=True):
            guesses = heads.logits(rows.to(device)).argmax(-1).cpu()
            total += (guesses == labels).sum(1)
    return total


def linear(
    inputs: ProbeInputs,
    *,
    seed: int,
    device: torch.device,
    **settings: Any,
) -> Outcome:
    """Train DINOv2's grid of heads on features of random crops, choose one, score it.

    Args:
        inputs: the training images as a stream, and the scored ones.
        seed: of initial weights, batches, crops and the held-out share.
        device: where to train.
        settings: of `probe_heads`. With `held_out` 0 the heads see all of train and the one that is
            best on the scored images is reported, as by the official code; otherwise the one that
            is best on the held-out share, and `best` beside it, an upper bound and no result.
    """
    heads = probe_heads(inputs, seed=seed, device=device, **settings)
    chosen = heads.get("chosen", heads["best"])
    logits = chosen.logits(inputs.test)
    evidence = {"correct": hits(logits, inputs, restricted=False).numpy()}
    if "chosen" in heads:
        best = hits(heads["best"].logits(inputs.test), inputs, restricted=False)
        evidence["correct@best"] = best.numpy()
    details = {
        "chosen": str(chosen),
        "best": str(heads["best"]),
        "heads": 2 * len(settings["blocks"]) * len(settings["learning_rates"]),
    }
    predictions = {"predicted": logits.argmax(1).int().cpu().numpy()}
    return Outcome(evidence=evidence, predictions=predictions, details=details)


def cached_stream(inputs: ClassificationInputs) -> ProbeInputs:
    """Return stored features as the stream that the probe reads."""
    train = inputs.train

    def stream(
        batches: Sequence[Int[Tensor, " _"]], augment: RandomCrop | None
    ) -> Iterator[ImageFeatures]:
        if augment is not None:
            raise ValueError("stored features cannot be augmented: set crop_scale to null")
        for rows in batches:
            yield ImageFeatures(
                cls_blocks=train.cls_blocks[rows],
                mean_patch=train.mean_patch[rows],
                labels=train.labels[rows],
            )

    return ProbeInputs(
        labels=train.labels,
        num_classes=inputs.num_classes,
        stream=stream,
        keep=lambda _, make: make(),
        validation=inputs.test,
        test=inputs.test,
        columns=torch.arange(inputs.num_classes),
        accepted=None,
    )


def linear_cached(
    inputs: ClassificationInputs, *, seed: int, device: torch.device, **settings: Any
) -> Outcome:
    """Do the same on stored features of centre crops: no augmentation, one pass of the backbone."""
    return linear(
        cached_stream(inputs), seed=seed, device=device, crop_scale=None, flip=0.0, **settings
    )


_TOP1 = share("top1", "correct", mean, "wilson")

LINEAR = Benchmark(
    name="linear",
    version="1.0",
    protocol="linear heads on CLS and mean patch tokens of random crops, trained on-line; the head "
    "chosen on a held-out share of train, or without one on the scored images",
    source="facebookresearch/dinov2@b8931f7 eval/linear.py; Franca, Table 4",
    kind="probe",
    quick=False,
    metrics=(_TOP1,),
    run=linear,
    predictions=CLASSES,
    streamed=lambda settings: settings["steps"] * settings["batch_size"],
)

BENCHMARK = Benchmark(
    name="linear_cached",
    version="1.1",
    protocol="linear heads on cached CLS and mean patch tokens, no augmentation, "
    "head chosen on a held-out share of train",
    source="facebookresearch/dinov2@b8931f7 eval/linear.py, without its augmentation",
    kind="classification",
    quick=False,
    metrics=(_TOP1,),
    run=linear_cached,
    predictions=CLASSES,
)
