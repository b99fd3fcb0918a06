"""Crops of many images to one batch, and 8-bit batches to the model's input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from franca.data.augment_draws import CropParams
from franca.models.transfer import send

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class MultiCropBatch:
    """The crops of B images, view by view: all first views, then all second ones, and so on.

    Crops stay 8-bit (a quarter of the memory traffic); `normalise` turns them into input.

    Attributes:
        global_crops: RGB of 2B crops.
        local_crops: RGB of B crops a local view; no rows when there are no local views.
        keys: the images, in order.
        colours: for each image, what is still to be done to the colours of its crops, view by view;
            empty when nothing is.
    """

    global_crops: UInt8[Tensor, "global_rows 3 size size"]
    local_crops: UInt8[Tensor, "local_rows 3 local_size local_size"]
    keys: tuple[str, ...]
    colours: tuple[tuple[CropParams, ...], ...] = ()

    def to(self, device: torch.device) -> "MultiCropBatch":
        """Return the batch on another device."""
        return replace(
            self,
            global_crops=send(self.global_crops, device),
            local_crops=send(self.local_crops, device),
        )

    def of_images(self, images: range) -> "MultiCropBatch":
        """Return the crops of some of the images, which are numbered from zero."""
        return MultiCropBatch(
            global_crops=_rows_of(self.global_crops, images, num_images=len(self.keys)),
            local_crops=_rows_of(self.local_crops, images, num_images=len(self.keys)),
            keys=self.keys[images.start : images.stop],
            colours=self.colours[images.start : images.stop],
        )

    def pin_memory(self) -> "MultiCropBatch":
        """Return the batch in memory from which devices copy fast."""
        return replace(
            self,
            global_crops=self.global_crops.pin_memory(),
            local_crops=self.local_crops.pin_memory(),
        )


def _rows_of(crops: Tensor, images: range, *, num_images: int) -> Tensor:
    views: Tensor = crops.unflatten(0, (len(crops) // num_images, num_images))
    return views[:, images.start : images.stop].flatten(0, 1)


def stack_views(
    images: Sequence[Sequence[UInt8[np.ndarray, "size size 3"]]],
) -> UInt8[Tensor, "rows 3 size size"]:
    """Stack the equally sized views of each image, view by view.

    Loop form: `for view in views: for image in images: rows.append(image[view])`.

    Args:
        images: for each image its views.
    """
    rows = np.stack([image[view] for view in range(len(images[0])) for image in images])
    return torch.from_numpy(rows).permute(0, 3, 1, 2)


def write_image(
    batch: MultiCropBatch, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, image: int
) -> None:
    """Overwrite the crops of one image of a batch, in place.

    Args:
        batch: of B images.
        crops: its global crops, then its local ones.
        image: its number in the batch.
    """
    num_images = len(batch.keys)
    num_global = len(batch.global_crops) // num_images
    for view, crop in enumerate(crops):
        pixels = torch.from_numpy(crop).permute(2, 0, 1)
        if view < num_global:
            batch.global_crops[view * num_images + image] = pixels
        else:
            batch.local_crops[(view - num_global) * num_images + image] = pixels


def normalise(
    images: UInt8[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """Scale levels to [0, 1] and standardise with ImageNet's statistics, on the images' device."""
    mean, std = torch.tensor([IMAGENET_MEAN, IMAGENET_STD])
    factor, shift = send(torch.stack([1 / (255 * std), mean / std]), images.device)
    levels = images.to(torch.float32, memory_format=torch.contiguous_format)
    return levels.mul_(factor[:, None, None]).sub_(shift[:, None, None])
