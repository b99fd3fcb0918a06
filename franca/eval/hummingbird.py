"""In-context segmentation as the paper measures it: memories filled from augmented crops.

`in_context` is the same retrieval from plain images, whose features can be kept. Here the backbone
looks at random crops with other colours, several times over: each time fills a memory of its own,
and the score is the mean over the memories. Patches go to the search as they are computed, so that
a memory of all patches need not be held.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from franca.eval.benchmark import (
    MASKS,
    Benchmark,
    MetricSpec,
    Outcome,
    PictureInputs,
    by_number,
    share,
)
from franca.eval.crops import Picture, View, random_resized_crop, view
from franca.eval.in_context import mix_labels, paint, patch_labels, sample_patches
from franca.eval.miou import compare_masks, miou_statistic
from franca.eval.neighbours import cosine_search
from franca.eval.online import Crop, batches_of_views, check_masks, whole_test_images
from franca.eval.resampling import Evidence, Statistic, Weights
from franca.randomness import generator

_PURPOSE: Final = "evaluate/hummingbird"
_HUES: Final = 256  # steps of Pillow's circle of hues


class _Memory:
    """One memory: patches to read once, a block at a time, and the class shares of what was read.

    Args:
        inputs: images, masks and the model.
        batches: crops of all training images.
        kept: patches of each image; None keeps all.
        source: which are kept is drawn from it.
    """

    def __init__(
        self,
        inputs: PictureInputs,
        batches: DataLoader[View],
        *,
        kept: int | None,
        source: torch.Generator,
    ) -> None:
        self._inputs, self._batches, self._kept, self._source = inputs, batches, kept, source
        self._labels: list[Float[Tensor, "patches classes"]] = []

    def __iter__(self) -> Iterator[Float[Tensor, "patches dim"]]:
        for pixels, masks in tqdm(self._batches, desc="memory", unit="batch", leave=False):
            tokens = self._inputs.encode(pixels, masks)
            labels = patch_labels(
                masks,
                grid=(tokens.shape[2], tokens.shape[3]),
                num_classes=self._inputs.num_classes,
                ignore_index=self._inputs.ignore_index,
            )
            patches = tokens.flatten(2).transpose(1, 2)
            if self._kept is not None:
                uniforms = torch.rand(labels.shape[:2], generator=self._source)
                which = sample_patches(labels, uniforms, memory_size=self._kept * len(labels))
                rows = torch.arange(len(which))[:, None]
                patches, labels = patches[rows.to(patches.device), which], labels[rows, which]
            self._labels.append(labels.flatten(0, 1))
            yield patches.flatten(0, 1)

    @property
    def labels(self) -> Float[Tensor, "memory classes"]:
        """Class shares of the patches, once all are read."""
        return torch.cat(self._labels)


def hummingbird(
    inputs: PictureInputs,
    *,
    seed: int,
    device: torch.device,
    side: int,
    scale: tuple[float, float],
    jitter: float,
    memories: int,
    memory_size: int | None,
    neighbours: int,
    temperature: float,
    batch_size: int,
    block: int,
) -> Outcome:
    """Segment test images by retrieving labelled patches of augmented training images.

        for each memory:
            for each training image: keep patches of a random crop in random colours, with classes
            for each patch of each test image:
                average classes of its nearest patches, weighted by softmax(cosine / temperature)

    Args:
        inputs: images, masks and the model.
        seed: of crops, colours and of the patches that a bounded memory keeps.
        device: where to search.
        side: pixels of a side of the crops, and of the test images, whose ratio is not kept.
        scale: least and greatest share of an image's area that a crop is cut from; what exceeds the
            image is drawn again.
        jitter: greatest relative change of brightness, contrast and saturation, and greatest turn
            of the hue.
        memories: filled one after another, each with crops of its own.
        memory_size: patches of a memory; None keeps all.
        neighbours: patches retrieved per patch.
        temperature: of their weights (beta in the Hummingbird paper).
        batch_size: images at a time; changes no result.
        block: rows per block of the search.

    Raises:
        ValueError: masks of a split that are void throughout, or that hold an unknown class.
    """
    check_masks(inputs)
    queries, truth = _look_at_test_images(inputs, side=side, batch_size=batch_size)
    images, _, rows, columns = queries.shape
    flat = queries.flatten(2).transpose(1, 2).flatten(0, 1)
    kept = None if memory_size is None else max(1, memory_size // len(inputs.train))
    crop = partial(_crop, side=side, scale=scale, jitter=jitter, ignore_index=inputs.ignore_index)
    each = []
    for number in range(memories):
        memory = _fill(inputs, crop, number=number, seed=seed, kept=kept, batch_size=batch_size)
        similarity, index = cosine_search(
            flat, memory, neighbours=neighbours, block=block, device=device
        )
        shares = mix_labels(similarity, index, memory.labels, temperature=temperature, block=block)
        painted = (
            paint(one[None], grid=(rows, columns), size=(side, side))[0]
            for one in shares.unflatten(0, (images, -1))
        )
        found = compare_masks(
            truth, painted, num_classes=inputs.num_classes, ignore_index=inputs.ignore_index
        )
        each.append(found)
    confusions, masks = zip(*each, strict=True)
    return Outcome(
        evidence={"confusion": np.stack(confusions, axis=1)},
        predictions=by_number("predicted", masks[0]),
    )


def _fill(
    inputs: PictureInputs,
    crop: Crop,
    *,
    number: int,
    seed: int,
    kept: int | None,
    batch_size: int,
) -> _Memory:
    """Return a memory that is filled as it is read; the number tells its crops from others'."""
    purpose = f"{_PURPOSE}/{number}"
    batches = batches_of_views(
        inputs.train,
        torch.arange(len(inputs.train)),
        crop,
        batch_size=batch_size,
        seed=seed,
        purpose=f"{purpose}/crops",
        num_workers=inputs.num_workers,
    )
    return _Memory(inputs, batches, kept=kept, source=generator(seed, f"{purpose}/memory"))


def _look_at_test_images(
    inputs: PictureInputs, *, side: int, batch_size: int
) -> tuple[Float[Tensor, "images dim rows columns"], Tensor]:
    """Return the tokens of all test images, and their masks at the same size."""
    batches = whole_test_images(inputs, side=side, batch_size=batch_size, purpose=_PURPOSE)
    seen = [(inputs.encode(pixels, masks).cpu(), masks) for pixels, masks in batches]
    tokens, masks = zip(*seen, strict=True)
    return torch.cat(tokens), torch.cat(masks)


def _crop(
    picture: Picture,
    rng: np.random.Generator,
    *,
    side: int,
    scale: tuple[float, float],
    jitter: float,
    ignore_index: int,
) -> View:
    coloured = Picture(_change_colours(picture.image, rng, jitter=jitter), picture.mask)
    part = random_resized_crop(coloured, rng, side=side, scale=scale)
    return view(part, side=side, ignore_index=ignore_index)


def _change_colours(image: Image.Image, rng: np.random.Generator, *, jitter: float) -> Image.Image:
    """Change brightness, contrast, saturation and hue, each of every second image."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        changed, factor = rng.random() < 0.5, rng.uniform(1 - jitter, 1 + jitter)
        if changed:
            image = enhancer(image).enhance(factor)
    changed, turn = rng.random() < 0.5, rng.uniform(-jitter, jitter)
    if changed:
        channels = np.array(image.convert("HSV"))
        channels[..., 0] += np.uint8(round(turn * _HUES) % _HUES)  # wraps around the circle
        image = Image.fromarray(channels, mode="HSV").convert("RGB")
    return image


def _over_memories(
    evidence: Evidence, weights: Weights, *, statistic: Statistic, spread: bool
) -> NDArray[np.float64]:
    """Return the mean, or the standard deviation, of a statistic over the memories.

    Args:
        evidence: [images, memories, ...].
        weights: [resamples, images] how often each image counts.
        statistic: of the evidence of one memory.
        spread: the deviation rather than the mean.
    """
    each = np.stack([statistic(part, weights) for part in np.moveaxis(evidence, 1, 0)])
    return np.asarray(each.std(axis=0) if spread else each.mean(axis=0), dtype=np.float64)


def _mean(statistic: Statistic) -> Statistic:
    return partial(_over_memories, statistic=statistic, spread=False)


_MATCHED = miou_statistic("hungarian", "all")

BENCHMARK = Benchmark(
    name="hummingbird",
    version="1.0",
    protocol="patch retrieval, softmax-weighted labels of the nearest patches of augmented "
    "training crops, square resize; mean over memories, whose standard deviation is apart",
    source="vpariza/open-hummingbird-eval@5e79da2 with exact search; Franca, Table 3",
    kind="pictures",
    quick=False,
    metrics=(
        share("miou", "confusion", _mean(_MATCHED), "normal"),
        share("miou_identity", "confusion", _mean(miou_statistic("identity", "all"))),
        MetricSpec(
            "miou_deviation",
            "lower",
            "fraction",
            "confusion",
            partial(_over_memories, statistic=_MATCHED, spread=True),
            "percentile",
        ),
    ),
    run=hummingbird,
    predictions={"predicted": f"{MASKS['predicted']}, by the first memory"},
)
