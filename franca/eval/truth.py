"""Features that are the ground truth itself: with them a benchmark must reach its upper bound.

What a benchmark reaches on perfect features says how high its scale goes: patches are coarser than
pixels, a search averages over neighbours. And a benchmark that does not tell perfect features from
those of a random network measures nothing.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from franca.eval.benchmark import (
    ClassificationInputs,
    DenseFeatures,
    DiscoveryImage,
    DiscoveryInputs,
    ImageFeatures,
    KeypointPair,
    NovelImages,
    NoveltyInputs,
    PairInputs,
    PictureInputs,
    SegmentationInputs,
    Video,
    VideoInputs,
)
from franca.eval.crops import pad_to_patches
from franca.eval.davis import VOID
from franca.eval.in_context import patch_labels
from franca.eval.inputs.contracts import ProbeInputs, RetrievalInputs
from franca.eval.lazy import lazily
from franca.eval.position import positions
from franca.eval.transforms import RandomCrop
from franca.eval.video_segmentation import grid_labels


def _one_hot(labels: Int[Tensor, " images"], *, width: int) -> Float[Tensor, "images width"]:
    return nn.functional.one_hot(labels, width).float()


def _labelled(split: ImageFeatures, *, width: int) -> ImageFeatures:
    classes = _one_hot(split.labels, width=width)
    blocks = split.cls_blocks.shape[1]
    return ImageFeatures(
        cls_blocks=classes[:, None].expand(-1, blocks, -1),
        mean_patch=classes,
        labels=split.labels,
    )


def image_classes(inputs: ClassificationInputs, *, spare: int = 0) -> ClassificationInputs:
    """Return the same images, each with its class as a one-hot feature of `spare` more entries."""
    width = inputs.num_classes + spare
    train, test = (_labelled(split, width=width) for split in (inputs.train, inputs.test))
    chosen_on = inputs.validation and _labelled(inputs.validation, width=width)
    return dataclasses.replace(inputs, train=train, test=test, validation=chosen_on)


def probe_classes(inputs: ProbeInputs) -> ProbeInputs:
    """Return the same images, each with its known class as a one-hot feature.

    Of several right classes it has the first; heads are trained anew and not kept.
    """

    def known(split: ImageFeatures) -> ImageFeatures:
        return _labelled(split, width=inputs.num_classes)

    def stream(
        batches: Sequence[Int[Tensor, " _"]], augment: RandomCrop | None
    ) -> Iterator[ImageFeatures]:
        del augment  # a class has no crop
        for rows in batches:
            blank = torch.zeros(len(rows), 1, 1)
            for_shape = ImageFeatures(
                blank.expand(-1, blocks, -1), blank[:, 0], inputs.labels[rows]
            )
            yield known(for_shape)

    blocks = inputs.validation.cls_blocks.shape[1]
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
    """Return known images with their classes, and novel ones with a class that no known one has."""
    known = image_classes(inputs.known, spare=1)

    def unknown(novel: NovelImages) -> NovelImages:
        last = torch.full((len(novel.cls),), known.num_classes)
        return dataclasses.replace(novel, cls=_one_hot(last, width=known.num_classes + 1))

    return NoveltyInputs(known=known, novel=tuple(map(unknown, inputs.novel)))


def _with_patches(split: DenseFeatures, patches: Tensor) -> DenseFeatures:
    return dataclasses.replace(split, patches=patches.float())


def patch_classes(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the shares of the classes among its pixels."""

    def shares(split: DenseFeatures) -> DenseFeatures:
        found = patch_labels(
            split.masks,
            grid=split.grid,
            num_classes=inputs.num_classes,
            ignore_index=inputs.ignore_index,
        )
        return _with_patches(split, found)

    return dataclasses.replace(inputs, train=shares(inputs.train), test=shares(inputs.test))


def pixel_classes(inputs: PictureInputs) -> PictureInputs:
    """Return the same images with an encoder that sees the shares of the classes in a patch."""

    def shares(images: Tensor, masks: Tensor) -> Float[Tensor, "batch classes rows columns"]:
        del images
        void, patch_size = inputs.ignore_index, inputs.patch_size
        padded = pad_to_patches(masks, patch_size=patch_size, value=void)
        grid = (padded.shape[1] // patch_size, padded.shape[2] // patch_size)
        found = patch_labels(padded, grid=grid, num_classes=inputs.num_classes, ignore_index=void)
        maps: Tensor = found.mT.unflatten(2, grid)
        return maps

    return dataclasses.replace(inputs, encode=shares, dim=inputs.num_classes)


def patch_depth(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the logarithm of its depth; 0 where it has none."""

    def depth(split: DenseFeatures) -> DenseFeatures:
        assert split.depth is not None
        return _with_patches(split, split.depth.log()[..., None].nan_to_num())

    return dataclasses.replace(inputs, train=depth(inputs.train), test=depth(inputs.test))


def patch_normals(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its surface normal; 0 where it has none."""

    def normals(split: DenseFeatures) -> DenseFeatures:
        assert split.normals is not None
        return _with_patches(split, split.normals.nan_to_num())

    return dataclasses.replace(inputs, train=normals(inputs.train), test=normals(inputs.test))


def patch_places(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its row and column."""

    def places(split: DenseFeatures) -> DenseFeatures:
        return _with_patches(split, positions(split.grid).expand(len(split.patches), -1, -1))

    return dataclasses.replace(inputs, train=places(inputs.train), test=places(inputs.test))


def object_keys(inputs: DiscoveryInputs) -> DiscoveryInputs:
    """Return the same images; a key says whether its patch's centre is in the largest box."""

    def keyed(image: DiscoveryImage) -> DiscoveryImage:
        inside = torch.zeros(image.grid, dtype=torch.long)
        if len(image.boxes):
            areas = (image.boxes[:, 2:] - image.boxes[:, :2]).prod(1)
            x0, y0, x1, y1 = image.boxes[areas.argmax()]
            rows, columns = (
                (torch.arange(count) + 0.5) * inputs.patch_size for count in image.grid
            )
            inside = (
                ((rows >= y0) & (rows < y1))[:, None] & (columns >= x0) & (columns < x1)
            ).long()
        return dataclasses.replace(image, keys=_one_hot(inside.flatten(), width=2))

    return dataclasses.replace(inputs, images=lazily(keyed, inputs.images))


def object_patches(inputs: VideoInputs) -> VideoInputs:
    """Return the same videos, each patch with the object at its centre as a one-hot feature."""

    def tracked(video: Video) -> Video:
        channels = int(video.masks[video.masks != VOID].max(initial=0)) + 1
        frames = [grid_labels(mask, grid=video.grid, channels=channels) for mask in video.masks]
        return dataclasses.replace(video, patches=torch.stack(frames))

    return dataclasses.replace(inputs, videos=lazily(tracked, inputs.videos))


def point_places(inputs: PairInputs) -> PairInputs:
    """Return the same pairs, each patch saying which of the pair's points it holds, if any."""

    def held(points: Tensor, grid: tuple[int, int]) -> Float[Tensor, "patches points"]:
        rows, columns = grid
        x, y = (points * torch.tensor([columns, rows])).long().unbind(1)
        cell = y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
        return nn.functional.one_hot(cell, rows * columns).T.float()

    def place(pair: KeypointPair) -> KeypointPair:
        return dataclasses.replace(
            pair,
            source=held(pair.source_points, pair.grid),
            target=held(pair.target_points, pair.grid),
        )

    return PairInputs(lazily(place, inputs.pairs))


TRUTHS: dict[str, Callable[[Any], Any]] = {
    "knn": image_classes,
    "linear": probe_classes,
    "linear_cached": image_classes,
    "robustness": probe_classes,
    "retrieval": retrieved_queries,
    "logreg": image_classes,
    "ood": novelty,
    "in_context": patch_classes,
    "linear_segmentation": patch_classes,
    "linseg_mmseg518": pixel_classes,
    "linseg_neco100": pixel_classes,
    "overclustering": patch_classes,
    "depth": patch_depth,
    "normals": patch_normals,
    "position": patch_places,
    "keypoints": point_places,
    "spair": point_places,
    "tokencut": object_keys,
    "lost": object_keys,
    "video_segmentation": object_patches,
}
"""Perfect features by benchmark; `spatial_entropy` has none, for no entropy is right."""
