"""What may be done to the inputs of any benchmark: change all features, shuffle what is scored."""

import dataclasses
from functools import singledispatch

import torch

from franca.eval.benchmark import (
    ClassificationInputs,
    NoveltyInputs,
    PictureInputs,
    SegmentationInputs,
)
from franca.eval.geometry import GeometryInputs, SceneInputs, ViewPair, ViewPairInputs
from franca.eval.inputs.contracts import ProbeInputs, RetrievalInputs
from franca.eval.objects import DiscoveryInputs, PairInputs, VideoInputs


def changed(item, change, *names):
    """Return the same with `change` applied to the features of these names."""
    return dataclasses.replace(item, **{name: change(getattr(item, name)) for name in names})


@singledispatch
def with_features(inputs, change):
    """Return the same inputs with `change` applied to every feature, [..., dim] -> [..., dim]."""
    raise AssertionError(inputs, change)


@with_features.register
def _(inputs: ClassificationInputs, change):
    splits = {
        name: changed(getattr(inputs, name), change, "cls_blocks", "mean_patch")
        for name in ("train", "test")
    }
    return dataclasses.replace(inputs, **splits)


@with_features.register
def _(inputs: ProbeInputs, change):
    def images(split):
        return changed(split, change, "cls_blocks", "mean_patch")

    return dataclasses.replace(
        inputs,
        stream=lambda batches, augment: map(images, inputs.stream(batches, augment)),
        validation=images(inputs.validation),
        test=images(inputs.test),
    )


@with_features.register
def _(inputs: RetrievalInputs, change):
    return changed(inputs, change, "queries", "database")


@with_features.register
def _(inputs: NoveltyInputs, change):
    novel = tuple(changed(each, change, "cls") for each in inputs.novel)
    return NoveltyInputs(known=with_features(inputs.known, change), novel=novel)


@with_features.register
def _(inputs: SegmentationInputs, change):
    splits = {name: changed(getattr(inputs, name), change, "patches") for name in ("train", "test")}
    return dataclasses.replace(inputs, **splits)


@with_features.register
def _(inputs: PictureInputs, change):
    def encode(pixels, masks):
        return change(inputs.encode(pixels, masks).movedim(1, -1)).movedim(-1, 1)

    return dataclasses.replace(inputs, encode=encode)


@with_features.register
def _(inputs: GeometryInputs, change):
    train, test = (changed(split, change, "tokens") for split in (inputs.train, inputs.test))
    return GeometryInputs(train=train, test=test)


@with_features.register
def _(inputs: PairInputs, change):
    return PairInputs([changed(pair, change, "source", "target") for pair in inputs.pairs])


@with_features.register
def _(inputs: DiscoveryInputs, change):
    images = [changed(image, change, "keys") for image in inputs.images]
    return dataclasses.replace(inputs, images=images)


@with_features.register
def _(inputs: VideoInputs, change):
    videos = [changed(video, change, "patches") for video in inputs.videos]
    return dataclasses.replace(inputs, videos=videos)


@with_features.register
def _(inputs: ViewPairInputs, change):
    return ViewPairInputs(
        [
            ViewPair(
                changed(pair.first, change, "tokens"),
                changed(pair.second, change, "tokens"),
                group=pair.group,
            )
            for pair in inputs.pairs
        ]
    )


@with_features.register
def _(inputs: SceneInputs, change):
    return SceneInputs([[changed(v, change, "tokens") for v in scene] for scene in inputs.scenes])


def drawn(count, source):
    return torch.randperm(count, generator=source)


def shuffled(items, source):
    return [items[i] for i in drawn(len(items), source).tolist()]


def rows(split, source):
    """Return the same with the rows of all its tensors in another order."""
    tensors = {k: v for k, v in vars(split).items() if isinstance(v, torch.Tensor)}
    order = drawn(len(next(iter(tensors.values()))), source)
    return dataclasses.replace(split, **{name: v[order] for name, v in tensors.items()})


@singledispatch
def in_another_order(inputs, source):
    """Return the same inputs with the scored items in another order."""
    raise AssertionError(inputs, source)


@in_another_order.register(ClassificationInputs)
@in_another_order.register(ProbeInputs)
@in_another_order.register(SegmentationInputs)
def _(inputs, source):
    return dataclasses.replace(inputs, test=rows(inputs.test, source))


@in_another_order.register
def _(inputs: RetrievalInputs, source):
    order = drawn(len(inputs.queries), source)
    relevant = [inputs.relevant[i] for i in order.tolist()]
    return dataclasses.replace(inputs, queries=inputs.queries[order], relevant=relevant)


@in_another_order.register
def _(inputs: NoveltyInputs, source):
    novel = tuple(rows(each, source) for each in inputs.novel)
    return NoveltyInputs(known=in_another_order(inputs.known, source), novel=novel)


@in_another_order.register
def _(inputs: PictureInputs, source):
    return dataclasses.replace(inputs, test=shuffled(inputs.test, source))


@in_another_order.register
def _(inputs: GeometryInputs, source):
    test = inputs.test
    order = drawn(len(test.groups), source)
    moved = dataclasses.replace(
        test,
        tokens=test.tokens[order],
        geometry=[test.geometry[i] for i in order.tolist()],
        groups=tuple(test.groups[i] for i in order.tolist()),
    )
    return GeometryInputs(train=inputs.train, test=moved)


@in_another_order.register
def _(inputs: PairInputs, source):
    return PairInputs(shuffled(inputs.pairs, source))


@in_another_order.register
def _(inputs: DiscoveryInputs, source):
    return dataclasses.replace(inputs, images=shuffled(inputs.images, source))


@in_another_order.register
def _(inputs: VideoInputs, source):
    return dataclasses.replace(inputs, videos=shuffled(inputs.videos, source))


@in_another_order.register
def _(inputs: ViewPairInputs, source):
    return ViewPairInputs(shuffled(inputs.pairs, source))


@in_another_order.register
def _(inputs: SceneInputs, source):
    return SceneInputs(shuffled(inputs.scenes, source))
