"""Linear segmentation as DINOv2 and Franca measure it with mmsegmentation, written without it.

Batch norm and a 1x1 convolution read the patch tokens of crops of randomly scaled images; test
images keep their ratio and are read through a sliding window, at one scale or several. Values of
mmsegmentation 0.27 and of DINOv2's configurations as far as they are public; those of Franca are
not, its appendix says what it changed. Do not compare with `linseg_neco100`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader
from tqdm import tqdm

from franca.eval.benchmark import MASKS, Benchmark, Outcome, PictureInputs, by_number, share
from franca.eval.crops import (
    Picture,
    View,
    distort_colours,
    fit_within,
    random_crop,
    random_flip,
    resize,
    view,
)
from franca.eval.heads import draw_batches
from franca.eval.miou import (
    compare_masks,
    mean_class_accuracy,
    miou_statistic,
    pixel_accuracy,
)
from franca.eval.online import (
    Crop,
    Update,
    adamw_update,
    check_masks,
    pixel_loss,
    pointwise,
    sgd_update,
    training,
    training_crops,
)

_PURPOSE = "evaluate/linseg_mmseg518"
_ORDER = f"{_PURPOSE}/order"
Optimizer = Literal["sgd", "adamw"]


def training_view(
    picture: Picture,
    rng: np.random.Generator,
    *,
    long_side: int,
    short_side: int,
    ratios: tuple[float, float],
    crop: int,
    largest_share: float,
    ignore_index: int,
) -> View:
    """Scale at random, crop, mirror, distort colours, and extend to the crop's size.

    Args:
        picture: image and mask.
        rng: of everything random.
        long_side: pixels that the longer side may have at ratio 1.
        short_side: likewise, the shorter one.
        ratios: least and greatest factor of both.
        crop: pixels of a side of the result.
        largest_share: of one class in a crop; see `franca.eval.crops.random_crop`.
        ignore_index: the class of void pixels.
    """
    ratio = rng.uniform(*ratios)
    height, width = fit_within(
        *picture.mask.shape, long_side=int(long_side * ratio), short_side=int(short_side * ratio)
    )
    part = random_crop(
        resize(picture, height=height, width=width),
        rng,
        side=crop,
        largest_share=largest_share,
        ignore_index=ignore_index,
    )
    part = distort_colours(random_flip(part, rng), rng)
    return view(part, side=crop, ignore_index=ignore_index)


def poly_rates(
    steps: int, *, learning_rate: float, warmup_steps: int, warmup_ratio: float
) -> list[float]:
    """Return the learning rate of every step: to 0 along a line, times a linear warm-up (mmcv).

    rate(t) = learning_rate * (1 - t / steps)
              * (1 - (1 - t / warmup_steps) * (1 - warmup_ratio))  while t < warmup_steps
    """
    rates = []
    for step in range(steps):
        rate = learning_rate * (1 - step / steps)
        if step < warmup_steps:
            rate *= 1 - (1 - step / warmup_steps) * (1 - warmup_ratio)
        rates.append(rate)
    return rates


def window_starts(length: int, *, crop: int, stride: int) -> list[int]:
    """Return where windows begin along a side; the last one is moved back to end with it."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    return [max(min(index * stride + crop, length) - crop, 0) for index in range(count)]


def slide(
    head: nn.Module, inputs: PictureInputs, seen: View, *, crop: int, stride: int
) -> Float[Tensor, "classes height width"]:
    """Return the logits of every pixel, averaged over the windows that see it."""
    height, width = seen.mask.shape
    sums = torch.zeros(inputs.num_classes, height, width)
    counts = torch.zeros(height, width)
    for top in window_starts(height, crop=crop, stride=stride):
        for left in window_starts(width, crop=crop, stride=stride):
            box = (slice(top, top + crop), slice(left, left + crop))
            pixels, mask = seen.pixels[:, *box], seen.mask[box]
            logits = head(inputs.encode(pixels[None], mask[None]))
            sums[:, *box] += interpolate(logits, mask.shape, mode="bilinear")[0].cpu()
            counts[box] += 1
    return sums / counts


@torch.no_grad()
def segment(
    head: nn.Module,
    inputs: PictureInputs,
    *,
    long_side: int,
    short_side: int,
    crop: int,
    stride: int,
    scales: Sequence[float],
    flip: bool,
) -> Iterator[UInt8[Tensor, "height width"]]:
    """Yield the class of every pixel of each test image, at the size of its mask.

        for each test image:
            for each scale, plain and (if asked) mirrored:
                logits = windows of the scaled image, averaged, bilinear to the image's size
                shares += softmax(logits)
            the largest share wins

    Args:
        head: trained.
        inputs: test images and the model.
        long_side: as in training.
        short_side: likewise.
        crop: side of the window.
        stride: pixels between windows.
        scales: factors of both sides.
        flip: whether images are also seen mirrored.
    """
    head.eval()
    for picture in tqdm(inputs.test, desc="sliding windows", unit="image", leave=False):
        height, width = picture.mask.shape
        shares = torch.zeros(inputs.num_classes, height, width)
        for scale in scales:
            size = fit_within(
                height, width, long_side=int(long_side * scale), short_side=int(short_side * scale)
            )
            scaled = resize(picture, height=size[0], width=size[1])
            seen = view(scaled, side=1, ignore_index=inputs.ignore_index)
            for mirrored in (False, True)[: 1 + flip]:
                shown = View(seen.pixels.flip(2), seen.mask.flip(1)) if mirrored else seen
                logits = slide(head, inputs, shown, crop=crop, stride=stride)
                full = interpolate(logits[None], (height, width), mode="bilinear")[0].softmax(0)
                shares += full.flip(2) if mirrored else full
        yield shares.argmax(0)


def linseg_mmseg518(
    inputs: PictureInputs,
    *,
    seed: int,
    device: torch.device,
    long_side: int,
    short_side: int,
    ratios: tuple[float, float],
    crop: int,
    largest_share: float,
    steps: int,
    max_epochs: int,
    batch_size: int,
    optimizer: Optimizer,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    warmup_steps: int,
    warmup_ratio: float,
    stride: int,
    scales: Sequence[float],
    flip: bool,
) -> Outcome:
    """Train batch norm and a linear layer on crops, and segment test images through windows.

    Args:
        inputs: images, masks and the model.
        seed: of weights, order and crops.
        device: where to train.
        long_side: pixels that the longer side of an image may have at ratio 1.
        short_side: likewise, the shorter one.
        ratios: least and greatest factor of both in training.
        crop: side of crops and of windows in pixels.
        largest_share: of one class in a crop.
        steps: of training.
        max_epochs: stop earlier after so many passes over the training images.
        batch_size: crops per step.
        optimizer: SGD (VOC) or AdamW (ADE20K).
        learning_rate: after the warm-up, before it falls.
        momentum: of SGD; AdamW has PyTorch's own.
        weight_decay: of either.
        warmup_steps: of the learning rate.
        warmup_ratio: its share at the first step.
        stride: pixels between windows.
        scales: at which test images are seen.
        flip: whether they are also seen mirrored.

    Raises:
        ValueError: masks of a split that are void throughout, or that hold an unknown class.
    """
    check_masks(inputs)
    total = max(1, min(steps, max_epochs * len(inputs.train) // batch_size))
    rows = draw_batches(
        len(inputs.train), steps=total, batch_size=batch_size, seed=seed, purpose=_ORDER
    )
    seen: dict[str, Any] = {"long_side": long_side, "short_side": short_side, "crop": crop}
    void = inputs.ignore_index
    crops: Crop = partial(
        training_view, ratios=ratios, largest_share=largest_share, ignore_index=void, **seen
    )
    layer = pointwise(inputs, seed=seed, purpose=_PURPOSE)
    head = nn.Sequential(nn.BatchNorm2d(inputs.dim), layer).to(device)
    update = (
        adamw_update(head, weight_decay=weight_decay)
        if optimizer == "adamw"
        else sgd_update(head, momentum=momentum, weight_decay=weight_decay)
    )
    rates = poly_rates(
        total, learning_rate=learning_rate, warmup_steps=warmup_steps, warmup_ratio=warmup_ratio
    )
    batches = training_crops(inputs, crops, rows, seed=seed, purpose=_PURPOSE)
    _train(head, batches, inputs, update=update, rates=rates)
    painted = segment(head, inputs, stride=stride, scales=scales, flip=flip, **seen)
    truth = (torch.from_numpy(picture.mask) for picture in inputs.test)
    classes = inputs.num_classes
    confusion, masks = compare_masks(truth, painted, num_classes=classes, ignore_index=void)
    predictions = by_number("predicted", masks)
    return Outcome({"confusion": confusion}, predictions=predictions, details={"steps": total})


def _train(
    head: nn.Module,
    batches: DataLoader[View],
    inputs: PictureInputs,
    *,
    update: Update,
    rates: Sequence[float],
) -> None:
    loss = partial(pixel_loss, ignore_index=inputs.ignore_index, over="all")
    steps = training(
        head, batches, inputs, update=update, rates=rates, loss=loss, title="linseg_mmseg518"
    )
    for _ in steps:
        pass


BENCHMARK = Benchmark(
    name="linseg_mmseg518",
    version="1.0",
    protocol="batch norm and 1x1 convolution on tokens of scaled, cropped, distorted images; "
    "sliding window at the image's ratio, mask size, mean over classes in truth or prediction",
    source="facebookresearch/dinov2@b8931f7 and its configurations in Denoising-ViT@82704df; "
    "open-mmlab/mmsegmentation 0.27; Franca, Table 3 and appendix",
    kind="pictures",
    quick=False,
    metrics=(
        share("miou", "confusion", miou_statistic("identity", "union")),
        share("pixel_accuracy", "confusion", pixel_accuracy),
        share("class_accuracy", "confusion", mean_class_accuracy),
    ),
    run=linseg_mmseg518,
    predictions=MASKS,
)

ADE20K = replace(
    BENCHMARK,
    name="linseg_mmseg518_ade20k",
    protocol=f"{BENCHMARK.protocol}; ADE20K's recipe: AdamW, larger images, test images at several "
    "scales",
)
