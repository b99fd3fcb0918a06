"""Training a segmentation head while the backbone runs on augmented crops.

The crops are drawn by (seed, purpose, number of the sample): neither batches nor worker processes
change any of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from franca.eval.benchmark import PictureInputs
from franca.eval.crops import Picture, View, resize, view
from franca.randomness import generator, numpy_generator

Crop = Callable[[Picture, np.random.Generator], View]
Loss = Callable[[Tensor, Tensor], Tensor]
Update = Callable[[Sequence[Tensor], float], None]  # of gradients and a learning rate
Batch = tuple[Float[Tensor, "batch 3 height width"], UInt8[Tensor, "batch height width"]]


@dataclass(frozen=True)
class _Views(Dataset[View]):
    pictures: Sequence[Picture]
    rows: Sequence[int]
    crop: Crop
    seed: int
    purpose: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> View:
        rng = numpy_generator(self.seed, self.purpose, number)
        return self.crop(self.pictures[self.rows[number]], rng)


def batches_of_views(
    pictures: Sequence[Picture],
    rows: Int[Tensor, " samples"],
    crop: Crop,
    *,
    batch_size: int,
    seed: int,
    purpose: str,
    num_workers: int,
) -> DataLoader[View]:
    """Return a loader of [batch, 3, height, width] pixels and [batch, height, width] masks.

    Args:
        pictures: images with masks.
        rows: which picture each sample is of, in order.
        crop: from a picture and a generator to what is seen of it.
        batch_size: samples at a time.
        seed: of the crops.
        purpose: likewise.
        num_workers: processes that crop; 0 crops in this one.
    """
    views = _Views(pictures, rows.tolist(), crop, seed, purpose)
    return DataLoader(views, batch_size=batch_size, num_workers=num_workers)


def training_crops(
    inputs: PictureInputs,
    crop: Crop,
    rows: Int[Tensor, "steps batch"],
    *,
    seed: int,
    purpose: str,
) -> DataLoader[View]:
    """Return a loader of crops of the training images, a batch for each step.

    Args:
        inputs: whose training images are cropped.
        crop: see `batches_of_views`.
        rows: which image each sample is of.
        seed: of the crops.
        purpose: of the benchmark.
    """
    return batches_of_views(
        inputs.train,
        rows.flatten(),
        crop,
        batch_size=rows.shape[1],
        seed=seed,
        purpose=f"{purpose}/crops",
        num_workers=inputs.num_workers,
    )


def whole_test_images(
    inputs: PictureInputs, *, side: int, batch_size: int, purpose: str
) -> DataLoader[View]:
    """Return a loader of all test images as squares; their ratio is not kept.

    Args:
        inputs: whose test images are shown.
        side: of the squares in pixels.
        batch_size: images at a time.
        purpose: of the benchmark.
    """
    return batches_of_views(
        inputs.test,
        torch.arange(len(inputs.test)),
        partial(_whole, side=side, ignore_index=inputs.ignore_index),
        batch_size=batch_size,
        seed=0,
        purpose=purpose,
        num_workers=inputs.num_workers,
    )


def _whole(picture: Picture, rng: np.random.Generator, *, side: int, ignore_index: int) -> View:
    del rng
    return view(resize(picture, height=side, width=side), side=side, ignore_index=ignore_index)


def training(
    head: nn.Module,
    batches: DataLoader[View],
    inputs: PictureInputs,
    *,
    update: Update,
    rates: Sequence[float],
    loss: Loss,
    title: str,
) -> Iterator[int]:
    """Take a step for every batch, and yield how many have been taken.

        for step, (pixels, masks) in enumerate(batches):
            minimise loss(head(tokens of the frozen backbone), masks) at the rate rates[step]

    Args:
        head: from a map of tokens to one of logits; it is trained.
        batches: as many as there are rates.
        inputs: whose encoder is used.
        update: moves the head's parameters; see `sgd_update`.
        rates: learning rate of every step.
        loss: of logits [batch, classes, rows, columns] and classes [batch, height, width].
        title: of the progress bar.
    """
    bar = tqdm(batches, desc=title, total=len(rates), unit="step", leave=False)
    for step, (pixels, masks) in enumerate(bar):
        tokens = inputs.encode(pixels, masks)
        value = loss(head.train()(tokens), masks)
        update(torch.autograd.grad(value, list(head.parameters())), rates[step])
        yield step + 1


def sgd_update(head: nn.Module, *, momentum: float, weight_decay: float) -> Update:
    """Return what moves a head's parameters as `torch.optim.SGD` would.

    By PyTorch's function, because building its class imports the compiler, which takes longer than
    a short fit.
    """
    parameters: list[Tensor] = list(head.parameters())
    velocities: list[Tensor | None] = [None] * len(parameters)

    @torch.no_grad()
    def update(gradients: Sequence[Tensor], rate: float) -> None:
        sgd(
            parameters,
            list(gradients),
            velocities,
            foreach=False,
            weight_decay=weight_decay,
            momentum=momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    return update


def adamw_update(head: nn.Module, *, weight_decay: float) -> Update:
    """Return what moves a head's parameters as `torch.optim.AdamW` would; see `sgd_update`."""
    parameters: list[Tensor] = list(head.parameters())
    means, squares = ([torch.zeros_like(each) for each in parameters] for _ in range(2))
    counts = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def update(gradients: Sequence[Tensor], rate: float) -> None:
        adamw(
            parameters,
            list(gradients),
            means,
            squares,
            [],
            counts,
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=weight_decay,
            eps=1e-8,
            maximize=False,
        )

    return update


def pixel_loss(
    logits: Float[Tensor, "batch classes rows columns"],
    masks: UInt8[Tensor, "batch height width"],
    *,
    ignore_index: int,
    over: Literal["valid", "all"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy of valid pixels with upsampled (bilinear) logits.

        for each valid pixel:
            loss -= log softmax(upsampled logits)[its class] / number of pixels

    Args:
        logits: of patches.
        masks: classes of pixels.
        ignore_index: the class of void pixels.
        over: what the sum is divided by: the valid pixels (PyTorch), or all (mmsegmentation).
    """
    upsampled = interpolate(logits, masks.shape[1:], mode="bilinear")
    targets = masks.to(logits.device).long()
    total = cross_entropy(upsampled, targets, ignore_index=ignore_index, reduction="sum")
    pixels = masks.numel() if over == "all" else int((masks != ignore_index).sum())
    return total / max(pixels, 1)


def check_masks(inputs: PictureInputs) -> None:
    """Refuse masks that teach nothing, score nothing, or hold what cannot be scored.

    Raises:
        ValueError: those of a split are void throughout, or one holds an unknown class.
    """
    for name, pictures in (("training", inputs.train), ("test", inputs.test)):
        found = {int(number) for picture in pictures for number in np.unique(picture.mask)}
        known = found - {inputs.ignore_index}
        if not known:
            raise ValueError(
                f"all pixels of the {name} masks are void ({inputs.ignore_index}): correct "
                "ignore_index or the splits of the evaluation set"
            )
        if max(known) >= inputs.num_classes:
            raise ValueError(
                f"mask holds class {max(known)} but there are {inputs.num_classes} classes (void: "
                f"{inputs.ignore_index}): correct num_classes or ignore_index of the evaluation set"
            )


@torch.no_grad()
def pointwise(inputs: PictureInputs, *, seed: int, purpose: str) -> nn.Conv2d:
    """Make a 1x1 convolution from tokens to classes; weights of deviation 0.01, biases 0."""
    layer = nn.Conv2d(inputs.dim, inputs.num_classes, 1)
    source = generator(seed, f"{purpose}/weights")
    nn.init.normal_(layer.weight, std=0.01, generator=source)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
