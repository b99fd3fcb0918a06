"""From images with points, boxes or masks of objects to what benchmarks of objects see."""

import torch

from franca.eval.inputs.boxes import BoxedImages
from franca.eval.inputs.pairs import PairImages
from franca.eval.inputs.videos import VideoFrames
from franca.eval.lazy import Lazy
from franca.eval.native import PadToPatches, SnapToPatches, WhiteSquare
from franca.eval.objects import (
    DiscoveryImage,
    DiscoveryInputs,
    KeypointPair,
    PairInputs,
    Video,
    VideoInputs,
)
from franca.eval.store import FeatureStore


def pair_square(store: FeatureStore) -> WhiteSquare:
    """Return how images of pairs enter the model."""
    return WhiteSquare(side=store.pair_side, patch_size=store.model.patch_size)


def padded(store: FeatureStore) -> PadToPatches:
    """Return how images of object discovery enter the model."""
    return PadToPatches(store.model.patch_size)


def frame(store: FeatureStore) -> SnapToPatches:
    """Return how frames of videos enter the model."""
    return SnapToPatches(store.frame_side, store.model.patch_size)


def pairs(store: FeatureStore, images: PairImages, *, raw: bool) -> PairInputs:
    """Return the features of pairs of images with their points.

    Args:
        store: the model.
        images: the pairs.
        raw: whether tokens are those before the final norm.
    """
    tokens = store.native_tokens(images, pair_square(store), kind="raw" if raw else "patches")

    def pair(index: int) -> KeypointPair:
        row = images.rows[index]
        sides = [max(images.size(2 * index + which)) for which in (0, 1)]
        return KeypointPair(
            source=tokens.rows(2 * index, 2 * index + 1),
            target=tokens.rows(2 * index + 1, 2 * index + 2),
            grid=tokens.grids[2 * index],
            source_points=torch.from_numpy(row.source_points / sides[0]),
            target_points=torch.from_numpy(row.target_points / sides[1]),
            target_extent=row.target_extent / sides[1],
            label=row.label,
            group=row.group,
        )

    return PairInputs(Lazy(len(images.rows), pair))


def discovery(store: FeatureStore, images: BoxedImages) -> DiscoveryInputs:
    """Return the keys of images with the boxes of their objects."""
    tokens = store.native_tokens(images, padded(store), kind="keys")

    def image(index: int) -> DiscoveryImage:
        return DiscoveryImage(
            keys=tokens.rows(index, index + 1),
            grid=tokens.grids[index],
            size=images.size(index),
            boxes=images.boxes(index),
        )

    return DiscoveryInputs(images=Lazy(len(images), image), patch_size=store.model.patch_size)


def videos(store: FeatureStore, frames: VideoFrames) -> VideoInputs:
    """Return the features of videos with the masks of their objects.

    Raises:
        ValueError: the frames of a video have several sizes.
    """
    names, starts = frames.sequences.names, frames.sequences.starts
    for name, start, stop in zip(names, starts, starts[1:], strict=False):
        if len({frames.size(index) for index in range(start, stop)}) > 1:
            raise ValueError(f"video {name}: its frames have several sizes")
    tokens = store.native_tokens(frames, frame(store), kind="patches")

    def video(index: int) -> Video:
        start, stop = starts[index], starts[index + 1]
        return Video(
            name=names[index],
            patches=tokens.rows(start, stop).unflatten(0, (stop - start, -1)),
            grid=tokens.grids[start],
            masks=frames.masks(start, stop),
        )

    return VideoInputs(videos=Lazy(len(names), video), patch_size=store.model.patch_size)
