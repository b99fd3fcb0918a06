"""Small inputs of every kind of benchmark, and what may be done to all of their features."""

import dataclasses

import numpy as np
import torch

from franca.eval.benchmark import (
    ClassificationInputs,
    DenseFeatures,
    ImageFeatures,
    NovelImages,
    NoveltyInputs,
    PictureInputs,
    SegmentationInputs,
)
from franca.eval.objects import (
    DiscoveryImage,
    DiscoveryInputs,
    KeypointPair,
    PairInputs,
    Video,
    VideoInputs,
)
from tests.franca.eval.pictures import blocks, picture_inputs

DIM, CLASSES, GRID = 12, 3, (4, 4)


def _images(count, source):
    labels = torch.arange(count) % CLASSES
    return ImageFeatures(
        cls_blocks=torch.randn(count, 1, DIM, generator=source),
        mean_patch=torch.randn(count, DIM, generator=source),
        labels=labels[torch.randperm(count, generator=source)],
    )


def classification(source):
    train, test = _images(40, source), _images(20, source)
    return ClassificationInputs(train=train, test=test, num_classes=CLASSES)


def novelty(source):
    sets = (("odd", "near"), ("strange", "far"), ("alien", "far"))
    novel = [NovelImages(n, g, torch.randn(9, DIM, generator=source)) for n, g in sets]
    return NoveltyInputs(known=classification(source), novel=tuple(novel))


def _dense(count, source):
    coarse = torch.randint(CLASSES, (count, *GRID), generator=source, dtype=torch.uint8)
    normals = torch.randn(count, 16, 3, generator=source)
    return DenseFeatures(
        patches=torch.randn(count, 16, DIM, generator=source),
        grid=GRID,
        masks=coarse.repeat_interleave(4, 1).repeat_interleave(4, 2),
        depth=1 + torch.rand(count, 16, generator=source),
        normals=normals / normals.norm(dim=2, keepdim=True),
    )


def segmentation(source):
    train, test = _dense(20, source), _dense(8, source)
    return SegmentationInputs(train=train, test=test, num_classes=CLASSES, ignore_index=255)


def pictures(source):
    seed = int(torch.randint(1000, (), generator=source))
    return picture_inputs(blocks(12, seed=seed), blocks(5, seed=seed + 1))


def pairs(source):
    def pair(number):
        return KeypointPair(
            source=torch.randn(16, DIM, generator=source),
            target=torch.randn(16, DIM, generator=source),
            grid=GRID,
            source_points=torch.rand(5, 2, generator=source, dtype=torch.float64),
            target_points=torch.rand(5, 2, generator=source, dtype=torch.float64),
            target_extent=0.5,
            label=("ball", "cube")[number % 2],
            group=("d0", "d1")[number // 2 % 2],
        )

    return PairInputs([pair(number) for number in range(8)])


def discovery(source):
    def image():
        corner = torch.randint(8, (2,), generator=source).tolist()
        return DiscoveryImage(
            keys=torch.randn(24, DIM, generator=source),
            grid=(4, 6),
            size=(16, 24),
            boxes=np.array([[*corner, corner[0] + 8, corner[1] + 8]], dtype=np.float64),
        )

    return DiscoveryInputs(images=[image() for _ in range(6)], patch_size=4)


def video(source):
    def one(number):
        masks = np.zeros((5, 16, 16), np.uint8)
        for frame in range(5):
            masks[frame, 4:12, frame : frame + 8] = 1
        patches = torch.randn(5, 16, DIM, generator=source)
        return Video(name=f"v{number}", patches=patches, grid=GRID, masks=masks)

    return VideoInputs(videos=[one(number) for number in range(3)], patch_size=4)


INPUTS = {
    "classification": classification,
    "novelty": novelty,
    "segmentation": segmentation,
    "pictures": pictures,
    "pairs": pairs,
    "raw_pairs": pairs,
    "discovery": discovery,
    "video": video,
}


def with_features(inputs, change):
    """Return the same inputs with `change` applied to every feature, [..., dim] -> [..., dim]."""

    def images(split):
        return dataclasses.replace(
            split, cls_blocks=change(split.cls_blocks), mean_patch=change(split.mean_patch)
        )

    def dense(split):
        return dataclasses.replace(split, patches=change(split.patches))

    match inputs:
        case ClassificationInputs() | SegmentationInputs():
            part = images if isinstance(inputs, ClassificationInputs) else dense
            return dataclasses.replace(inputs, train=part(inputs.train), test=part(inputs.test))
        case NoveltyInputs():
            novel = tuple(dataclasses.replace(n, cls=change(n.cls)) for n in inputs.novel)
            return NoveltyInputs(known=with_features(inputs.known, change), novel=novel)
        case PictureInputs():

            def encode(pixels, masks):
                return change(inputs.encode(pixels, masks).movedim(1, -1)).movedim(-1, 1)

            return dataclasses.replace(inputs, encode=encode)
        case PairInputs():
            return PairInputs(
                [
                    dataclasses.replace(p, source=change(p.source), target=change(p.target))
                    for p in inputs.pairs
                ]
            )
        case DiscoveryInputs():
            changed = [dataclasses.replace(i, keys=change(i.keys)) for i in inputs.images]
            return dataclasses.replace(inputs, images=changed)
        case VideoInputs():
            changed = [dataclasses.replace(v, patches=change(v.patches)) for v in inputs.videos]
            return dataclasses.replace(inputs, videos=changed)
    raise AssertionError(type(inputs))


def in_another_order(inputs, source):
    """Return the same inputs with the scored items in another order."""

    def shuffled(items):
        return [items[i] for i in torch.randperm(len(items), generator=source).tolist()]

    def rows(split):
        tensors = {k: v for k, v in vars(split).items() if isinstance(v, torch.Tensor)}
        order = torch.randperm(len(next(iter(tensors.values()))), generator=source)
        return dataclasses.replace(split, **{name: v[order] for name, v in tensors.items()})

    match inputs:
        case ClassificationInputs() | SegmentationInputs():
            return dataclasses.replace(inputs, test=rows(inputs.test))
        case NoveltyInputs():
            novel = tuple(rows(each) for each in inputs.novel)
            return NoveltyInputs(known=in_another_order(inputs.known, source), novel=novel)
        case PictureInputs():
            return dataclasses.replace(inputs, test=shuffled(inputs.test))
        case PairInputs():
            return PairInputs(shuffled(inputs.pairs))
        case DiscoveryInputs():
            return dataclasses.replace(inputs, images=shuffled(inputs.images))
        case VideoInputs():
            return dataclasses.replace(inputs, videos=shuffled(inputs.videos))
    raise AssertionError(type(inputs))
