"""Linear segmentation as Leopart, TimeT and NeCo measure it: square crops, 100x100 masks.

A 1x1 convolution without batch norm reads the patch tokens of augmented crops, and is scored on
masks of 100x100 pixels. As in the reference, the reported head is the best of those scored on the
test images on the way (only whole batches of them count for the choice), which favours it:
`miou@last` is the head after the last step. Do not compare with `linseg_mmseg518`.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from franca.eval.benchmark import MASKS, Benchmark, Outcome, PictureInputs, by_number, share
from franca.eval.crops import Picture, View, random_flip, random_resized_crop, view
from franca.eval.heads import draw_batches
from franca.eval.miou import compare_masks, miou_statistic, pixel_accuracy
from franca.eval.online import (
    check_masks,
    pixel_loss,
    pointwise,
    sgd_update,
    training,
    training_crops,
    whole_test_images,
)
from franca.eval.resampling import point_estimate

_PURPOSE = "evaluate/linseg_neco100"
_MIOU = miou_statistic("identity", "all")


def _smaller(masks: UInt8[Tensor, "batch height width"], side: int) -> Tensor:
    return interpolate(masks[:, None], (side, side), mode="nearest")[:, 0]


def _training_view(
    picture: Picture,
    rng: np.random.Generator,
    *,
    side: int,
    scale: tuple[float, float],
    ignore_index: int,
) -> View:
    part = random_flip(random_resized_crop(picture, rng, side=side, scale=scale), rng)
    return view(part, side=side, ignore_index=ignore_index)


@torch.no_grad()
def _compared(
    head: nn.Module, inputs: PictureInputs, *, side: int, mask_side: int, batch_size: int
) -> tuple[NDArray[np.int64], list[NDArray[np.uint8]]]:
    """Compare small masks of the test images with what the head paints; see `compare_masks`."""
    batches = whole_test_images(inputs, side=side, batch_size=batch_size, purpose=_PURPOSE)
    head.eval()

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, masks in batches:
            logits = head(inputs.encode(pixels, masks))
            painted = interpolate(logits, (mask_side, mask_side), mode="bilinear").argmax(1).cpu()
            yield from zip(_smaller(masks, mask_side), painted, strict=True)

    truth, painted = zip(*pairs(), strict=True)
    return compare_masks(
        truth, painted, num_classes=inputs.num_classes, ignore_index=inputs.ignore_index
    )


def linseg_neco100(
    inputs: PictureInputs,
    *,
    seed: int,
    device: torch.device,
    side: int,
    mask_side: int,
    scale: tuple[float, float],
    epochs: int,
    drop_epoch: int,
    drop_factor: float,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    validate_every: int,
) -> Outcome:
    """Train a linear head on augmented crops and score it on small masks.

    Args:
        inputs: images, masks and the model.
        seed: of weights, order and crops.
        device: where to train.
        side: pixels of a side of a crop.
        mask_side: pixels of a side of the masks that loss and score are computed on.
        scale: least and greatest share of an image's area that a crop is cut from.
        epochs: passes over the training images; the last incomplete batch of each is left out.
        drop_epoch: epochs after which the learning rate is multiplied by `drop_factor`.
        drop_factor: see there.
        batch_size: crops per step, fewer if there are fewer images.
        learning_rate: of SGD.
        momentum: of SGD.
        weight_decay: of SGD.
        validate_every: steps between scores.

    Raises:
        ValueError: masks of a split that are void throughout, or that hold an unknown class.
    """
    check_masks(inputs)
    per_epoch = max(1, len(inputs.train) // batch_size)
    rows = _orders(
        len(inputs.train), epochs=epochs, per_epoch=per_epoch, batch_size=batch_size, seed=seed
    )
    crop = partial(_training_view, side=side, scale=scale, ignore_index=inputs.ignore_index)
    head = pointwise(inputs, seed=seed, purpose=_PURPOSE).to(device)
    rates = [
        learning_rate * drop_factor ** (step // per_epoch // drop_epoch)
        for step in range(len(rows))
    ]
    steps = training(
        head,
        training_crops(inputs, crop, rows, seed=seed, purpose=_PURPOSE),
        inputs,
        update=sgd_update(head, momentum=momentum, weight_decay=weight_decay),
        rates=rates,
        loss=partial(_loss, mask_side=mask_side, ignore_index=inputs.ignore_index),
        title="linseg_neco100",
    )
    score = partial(_compared, head, inputs, side=side, mask_side=mask_side, batch_size=batch_size)
    last = len(rows)
    validated = list(range(validate_every, last + 1, validate_every)) or [last]
    found = {step: score() for step in steps if step in {*validated, last}}
    counted = len(inputs.test) // batch_size * batch_size or len(inputs.test)
    best = max(validated, key=lambda step: point_estimate(_MIOU, found[step][0][:counted]))
    return Outcome(
        evidence={"confusion": found[best][0], "confusion@last": found[last][0]},
        predictions=by_number("predicted", found[best][1]),
        details={"steps": last, "chosen_step": best},
    )


def _orders(
    images: int, *, epochs: int, per_epoch: int, batch_size: int, seed: int
) -> Int[Tensor, "steps batch"]:
    """Return the rows of every step: each epoch in an order of its own, whole batches alone."""
    orders = [
        draw_batches(
            images,
            steps=per_epoch,
            batch_size=batch_size,
            seed=seed,
            purpose=f"{_PURPOSE}/order/{epoch}",
        )
        for epoch in range(epochs)
    ]
    return torch.cat(orders)


def _loss(logits: Tensor, masks: Tensor, *, mask_side: int, ignore_index: int) -> Tensor:
    smaller = _smaller(masks, mask_side)
    return pixel_loss(logits, smaller, ignore_index=ignore_index, over="valid")


BENCHMARK = Benchmark(
    name="linseg_neco100",
    version="1.0",
    protocol="1x1 convolution on tokens of augmented square crops, SGD; masks of 100x100 pixels, "
    "mean over all classes; the best head of those scored on the test images (@last: the last)",
    source="vpariza/NeCo@3932160, MkuuWaUjinga/leopart@7835701; README of valeoai/Franca, "
    "first version",
    kind="pictures",
    quick=False,
    metrics=(
        share("miou", "confusion", _MIOU),
        share("pixel_accuracy", "confusion", pixel_accuracy),
    ),
    run=linseg_neco100,
    predictions=MASKS,
)
