"""Perfect features of objects: keypoints, boxes, and masks that move."""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.eval.davis import VOID
from franca.eval.lazy import lazily
from franca.eval.objects import (
    DiscoveryImage,
    DiscoveryInputs,
    KeypointPair,
    PairInputs,
    Video,
    VideoInputs,
)
from franca.eval.video_segmentation import grid_labels


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
        return dataclasses.replace(image, keys=nn.functional.one_hot(inside.flatten(), 2).float())

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
