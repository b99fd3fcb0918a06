"""Linear segmentation on cached tokens: batch norm and one linear layer read every patch.

The head is that of DINOv2's segmentation (batch norm, then a 1x1 convolution), the recipe is not:
features are cached, so images are neither cropped nor augmented, training compares each pixel with
the logits of its patch, and a test image is seen once. Do not compare its numbers with those of
`linseg_mmseg518` (mmsegmentation at 518 pixels: crops, sliding window) or of `linseg_neco100` (no
batch norm, 100x100 masks, the best of many test scores).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from franca.eval.benchmark import (
    MASKS,
    Benchmark,
    DenseFeatures,
    Outcome,
    SegmentationInputs,
    by_number,
    share,
)
from franca.eval.heads import draw_batches
from franca.eval.in_context import Grid, paint, patch_labels
from franca.eval.miou import compare_masks, miou_statistic, pixel_accuracy
from franca.randomness import generator


def pixel_shares(
    masks: UInt8[Tensor, "images height width"], *, grid: Grid, num_classes: int, ignore_index: int
) -> Float[Tensor, "images patches classes"]:
    """Return the share of each class among the pixels of each patch; void pixels have no class.

    Raises:
        ValueError: the mask does not divide into the grid, or holds an unknown class.
    """
    labels = patch_labels(masks, grid=grid, num_classes=num_classes, ignore_index=ignore_index)
    void = (masks == ignore_index).float()
    labels[..., 0] -= nn.functional.adaptive_avg_pool2d(void, grid).flatten(1)
    return labels.clamp_min(0)


def pixel_cross_entropy(
    logits: Float[Tensor, "patches classes"], shares: Float[Tensor, "patches classes"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of valid pixels, each predicted by the logits of its patch.

        for each patch, for each valid pixel of it:
            loss -= log softmax(logits[patch])[class of the pixel] / number of valid pixels

    Args:
        logits: of each patch.
        shares: of each class among the pixels of each patch; what is missing to 1 is void.
    """
    valid = shares.sum().clamp_min(torch.finfo(shares.dtype).tiny)
    return -(shares * logits.log_softmax(1)).sum() / valid


def train_head(
    train: DenseFeatures,
    shares: Float[Tensor, "images patches classes"],
    *,
    batches: Int[Tensor, "steps batch"],
    learning_rate: float,
    momentum: float,
    seed: int,
    device: torch.device,
) -> nn.Module:
    """Fit batch norm and a linear layer by SGD, the learning rate falling to 0 along a line.

        for t, batch in enumerate(batches):
            loss = pixel cross-entropy of the batch's patches, normalised with their own statistics
            velocity = momentum * velocity + gradient
            parameters -= learning_rate * (1 - t / steps) * velocity

    By hand because building an optimiser of PyTorch imports its compiler, four times the cost of a
    short fit.

    Returns:
        From tokens [patches, dim] to logits [patches, classes], in evaluation mode.
    """
    dim, num_classes = train.patches.shape[2], shares.shape[2]
    norm, linear = nn.BatchNorm1d(dim), nn.Linear(dim, num_classes)
    source = generator(seed, "evaluate/linear_segmentation/weights")
    nn.init.normal_(linear.weight, std=0.01, generator=source)
    nn.init.zeros_(linear.bias)
    head = nn.Sequential(norm, linear).to(device)
    parameters = list(head.parameters())
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    for step, batch in enumerate(batches):
        tokens = train.patches[batch].flatten(0, 1).to(device, torch.float32)
        loss = pixel_cross_entropy(head(tokens), shares[batch].flatten(0, 1).to(device))
        gradients = torch.autograd.grad(loss, parameters)
        rate = learning_rate * (1 - step / len(batches))
        with torch.no_grad():
            for parameter, velocity, gradient in zip(
                parameters, velocities, gradients, strict=True
            ):
                velocity.mul_(momentum).add_(gradient)
                parameter.sub_(rate * velocity)
    return head.eval()


@torch.no_grad()
def segment(
    head: nn.Module, test: DenseFeatures, *, device: torch.device
) -> Iterator[UInt8[Tensor, "height width"]]:
    """Yield the class of every pixel of each image: logits upsampled (bilinear), the largest."""
    height, width = test.masks.shape[1:]
    for patches in test.patches:
        logits = head(patches.to(device, torch.float32)).cpu()
        yield paint(logits[None], grid=test.grid, size=(height, width))[0]


def linear_segmentation(
    inputs: SegmentationInputs,
    *,
    seed: int,
    device: torch.device,
    steps: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
) -> Outcome:
    """Train a head on the patches of the training images and segment the test images with it.

    Args:
        inputs: features and masks.
        seed: of initial weights and batches.
        device: where to train.
        steps: of SGD.
        batch_size: images per step.
        learning_rate: at the first step.
        momentum: of SGD.

    Raises:
        ValueError: training masks that are void throughout, that do not divide into patches, or
            that hold an unknown class.
    """
    train = inputs.train
    shares = pixel_shares(
        train.masks,
        grid=train.grid,
        num_classes=inputs.num_classes,
        ignore_index=inputs.ignore_index,
    )
    if not shares.any():
        raise ValueError(
            f"all pixels of the training masks are void ({inputs.ignore_index}): "
            "correct ignore_index or train_split of the evaluation set"
        )
    batches = draw_batches(
        len(shares),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        purpose="evaluate/linear_segmentation/order",
    )
    head = train_head(
        train,
        shares,
        batches=batches,
        learning_rate=learning_rate,
        momentum=momentum,
        seed=seed,
        device=device,
    )
    confusion, masks = compare_masks(
        inputs.test.masks,
        segment(head, inputs.test, device=device),
        num_classes=inputs.num_classes,
        ignore_index=inputs.ignore_index,
    )
    return Outcome({"confusion": confusion}, predictions=by_number("predicted", masks))


BENCHMARK = Benchmark(
    name="linear_segmentation",
    version="1.0",
    protocol="linear_cached_square: batch norm and a linear layer on cached patch tokens, no "
    "augmentation, square resize, logits upsampled to the mask, single view; neither "
    "linseg_mmseg518 nor linseg_neco100",
    source="head: DINOv2 (batch norm, 1x1 convolution); recipe ours; Franca, Table 3",
    kind="segmentation",
    quick=True,
    metrics=(
        share("miou", "confusion", miou_statistic("identity", "union")),
        share("miou_all", "confusion", miou_statistic("identity", "all")),
        share("miou_present", "confusion", miou_statistic("identity", "present")),
        share("pixel_accuracy", "confusion", pixel_accuracy),
    ),
    run=linear_segmentation,
    predictions=MASKS,
)
