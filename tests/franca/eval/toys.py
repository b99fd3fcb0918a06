"""Small inputs of every kind of benchmark."""

import dataclasses

import numpy as np
import torch

from franca.eval.benchmark import (
    ClassificationInputs,
    DenseFeatures,
    ImageFeatures,
    NovelImages,
    NoveltyInputs,
    SegmentationInputs,
)
from franca.eval.geometry import GeometryInputs
from franca.eval.inputs.contracts import Relevant, RetrievalInputs
from franca.eval.linear import cached_stream
from franca.eval.objects import (
    DiscoveryImage,
    DiscoveryInputs,
    KeypointPair,
    PairInputs,
    Video,
    VideoInputs,
)
from tests.franca.eval.pictures import blocks, picture_inputs
from tests.franca.eval.toy_geometry import layers, scenes, view_pairs

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


def probe(source):
    return cached_stream(classification(source))


def shifted(source):
    """Other images of two of the known classes."""
    inputs, test = probe(source), _images(15, source)
    return dataclasses.replace(
        inputs,
        test=dataclasses.replace(test, labels=test.labels % 2),
        columns=torch.tensor([2, 0]),
    )


def retrieval(source):
    relevant = [Relevant([i], [i + 6], [(i + 1) % 6]) for i in range(6)]
    queries, database = (torch.randn(n, DIM, generator=source) for n in (6, 12))
    return RetrievalInputs(queries=queries, database=database, relevant=relevant)


def geometry(source):
    seed = int(torch.randint(1000, (), generator=source))
    return GeometryInputs(train=layers(40, seed), test=layers(12, seed + 1))


INPUTS = {
    "classification": classification,
    "novelty": novelty,
    "segmentation": segmentation,
    "pictures": pictures,
    "pairs": pairs,
    "raw_pairs": pairs,
    "discovery": discovery,
    "video": video,
    "fine_grained": classification,
    "probe": probe,
    "shifted": shifted,
    "retrieval": retrieval,
    "geometry": geometry,
    "view_pairs": lambda _: view_pairs(6),
    "scenes": lambda _: scenes(3),
}
