"""Perfect features of whole images: their classes."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from franca.eval.benchmark import (
    ClassificationInputs,
    ImageFeatures,
    NoveltyInputs,
)
from franca.eval.inputs.contracts import ProbeInputs, RetrievalInputs
from franca.eval.transforms import RandomCrop
from franca.randomness import generator

_NOISE = 1e-2
_SMALLEST = 0.8


def class_code(
    labels: Int[Tensor, " images"], *, classes: int, width: int
) -> Float[Tensor, "images width"]:
    """Return features that tell classes apart from their first entries on.

    Classes lie evenly on circles: the first pair of entries goes round once, the next twice, a
    little smaller, and so on; what is left of the width is 0. On the first circle alone a linear
    head can tell all classes, and the first principal components are the first circles; all
    together keep the classes as far from each other as one-hot entries do.

    Args:
        labels: classes.
        classes: how many there are.
        width: at least 2.
    """
    circles = max(1, min(classes - 1, width) // 2)
    angles = 2 * torch.pi / classes * labels[:, None] * torch.arange(1, circles + 1)
    waves = torch.stack([angles.cos(), angles.sin()], dim=2)
    sizes = torch.linspace(1.0, _SMALLEST, circles)
    return nn.functional.pad((waves * sizes[:, None]).flatten(1), (0, width - 2 * circles))


def _labelled(split: ImageFeatures, *, classes: int) -> ImageFeatures:
    _, blocks, width = split.cls_blocks.shape
    code = class_code(split.labels, classes=classes, width=width)
    return ImageFeatures(
        cls_blocks=code[:, None].expand(-1, blocks, -1), mean_patch=code, labels=split.labels
    )


def image_classes(inputs: ClassificationInputs, *, spare: int = 0) -> ClassificationInputs:
    """Return the same images, each with the code of its class, of which there are `spare` more."""
    classes = inputs.num_classes + spare
    train, test = (_labelled(split, classes=classes) for split in (inputs.train, inputs.test))
    chosen_on = inputs.validation and _labelled(inputs.validation, classes=classes)
    return dataclasses.replace(inputs, train=train, test=test, validation=chosen_on)


def probe_classes(inputs: ProbeInputs) -> ProbeInputs:
    """Return the same images, each with the code of its known class.

    Of several right classes it has the first; heads are trained anew and not kept.
    """

    def known(split: ImageFeatures) -> ImageFeatures:
        return _labelled(split, classes=inputs.num_classes)

    def stream(
        batches: Sequence[Int[Tensor, " _"]], augment: RandomCrop | None
    ) -> Iterator[ImageFeatures]:
        del augment  # a class has no crop
        for rows in batches:
            blank = torch.zeros(len(rows), blocks, width)
            yield known(
                ImageFeatures(cls_blocks=blank, mean_patch=blank[:, 0], labels=inputs.labels[rows])
            )

    _, blocks, width = inputs.validation.cls_blocks.shape
    right = inputs.columns[inputs.test.labels]
    if inputs.accepted is not None:
        right = inputs.accepted.int().argmax(1)
    test = known(dataclasses.replace(inputs.test, labels=right))
    return dataclasses.replace(
        inputs,
        stream=stream,
        keep=lambda _, make: make(),
        validation=known(inputs.validation),
        test=dataclasses.replace(test, labels=inputs.test.labels),
    )


def retrieved_queries(inputs: RetrievalInputs) -> RetrievalInputs:
    """Return the same images, each saying which of the queries it is right for."""
    queries = torch.eye(len(inputs.queries))
    database = torch.zeros(len(inputs.database), len(inputs.queries))
    for query, relevant in enumerate(inputs.relevant):
        database[[*relevant.easy, *relevant.hard], query] = 1.0
    return dataclasses.replace(inputs, queries=queries, database=database)


def novelty(inputs: NoveltyInputs) -> NoveltyInputs:
    """Return known images with their classes, and novel ones with a class that no known one has.

    A little noise goes with all: detectors that measure by the spread within classes need one.
    """
    known = image_classes(inputs.known, spare=1)
    classes = known.num_classes + 1

    def unknown(cls: Tensor, number: int) -> Tensor:
        last = torch.full((len(cls),), known.num_classes)
        return _noisy(class_code(last, classes=classes, width=cls.shape[1]), number)

    def noisy(split: ImageFeatures, number: int) -> ImageFeatures:
        return dataclasses.replace(split, cls_blocks=_noisy(split.cls_blocks, number))

    return NoveltyInputs(
        known=dataclasses.replace(known, train=noisy(known.train, 0), test=noisy(known.test, 1)),
        novel=tuple(
            dataclasses.replace(each, cls=unknown(each.cls, number))
            for number, each in enumerate(inputs.novel, start=3)
        ),
        validation=None if inputs.validation is None else unknown(inputs.validation, 2),
    )


def _noisy(features: Tensor, number: int) -> Tensor:
    noise = torch.randn(features.shape, generator=generator(0, "evaluate/truth/noise", number))
    return features + _NOISE * noise
