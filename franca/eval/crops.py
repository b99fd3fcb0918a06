"""Random and fixed views of an image with its mask, for protocols that augment.

Images are resized bilinearly with antialiasing, masks to the nearest pixel. Every random choice
comes from the generator that is passed.
"""

from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from franca.data.augment_draws import random_box
from franca.eval.transforms import normalise, to_pixels

_TRIES: Final = 10
# mmsegmentation's PhotoMetricDistortion; its hue has 180 steps to the circle, Pillow's 256.
_BRIGHTNESS: Final = 32.0
_FACTORS: Final = (0.5, 1.5)
_HUE: Final = 18 * 256 / 180


class Picture(NamedTuple):
    """An RGB image and the class of each of its pixels, [height, width] uint8."""

    image: Image.Image
    mask: UInt8[np.ndarray, "height width"]


class View(NamedTuple):
    """What a model and a loss see of a picture, ImageNet-normalised, and the classes."""

    pixels: Float[Tensor, "3 height width"]
    mask: UInt8[Tensor, "height width"]


def resize(picture: Picture, *, height: int, width: int) -> Picture:
    """Return the picture at another size."""
    mask = Image.fromarray(picture.mask).resize((width, height), Image.Resampling.NEAREST)
    image = picture.image.resize((width, height), Image.Resampling.BILINEAR)
    return Picture(image, np.asarray(mask))


def cut(picture: Picture, *, top: int, left: int, height: int, width: int) -> Picture:
    """Return the part of a picture inside a box in pixels."""
    box = (left, top, left + width, top + height)
    mask = picture.mask[top : top + height, left : left + width]
    return Picture(picture.image.crop(box), mask)


def fit_within(height: int, width: int, *, long_side: int, short_side: int) -> tuple[int, int]:
    """Return the largest size of the same ratio whose sides do not exceed both, as mmcv."""
    factor = min(long_side / max(height, width), short_side / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def random_resized_crop(
    picture: Picture, rng: np.random.Generator, *, side: int, scale: tuple[float, float]
) -> Picture:
    """Cut a box of a random area and aspect ratio (3/4 to 4/3) and resize it to a square."""
    height, width = picture.mask.shape
    top, left, box_height, box_width = random_box(rng, scale=scale, height=height, width=width)
    part = cut(picture, top=top, left=left, height=box_height, width=box_width)
    return resize(part, height=side, width=side)


def random_flip(picture: Picture, rng: np.random.Generator) -> Picture:
    """Mirror every second picture."""
    if rng.random() < 0.5:
        return picture
    mirrored = picture.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Picture(mirrored, picture.mask[:, ::-1])


def random_crop(
    picture: Picture,
    rng: np.random.Generator,
    *,
    side: int,
    largest_share: float,
    ignore_index: int,
) -> Picture:
    """Cut a square anywhere, again up to ten times while one class holds too much of it.

    As mmsegmentation's RandomCrop; a picture smaller than the square keeps its size.

    Args:
        picture: image and mask.
        rng: of the places.
        side: of the square in pixels.
        largest_share: what one class may hold of the valid pixels.
        ignore_index: the class of void pixels.
    """
    height, width = picture.mask.shape

    def draw() -> Picture:
        top = int(rng.integers(max(height - side, 0) + 1))
        left = int(rng.integers(max(width - side, 0) + 1))
        return cut(picture, top=top, left=left, height=min(side, height), width=min(side, width))

    part = draw()
    for _ in range(_TRIES if largest_share < 1 else 0):
        classes, counts = np.unique(part.mask, return_counts=True)
        counts = counts[classes != ignore_index]
        if len(counts) > 1 and counts.max() / counts.sum() < largest_share:
            break
        part = draw()
    return part


def distort_colours(picture: Picture, rng: np.random.Generator) -> Picture:
    """Change brightness, contrast, saturation and hue, each every second time (mmsegmentation)."""
    image, contrast_last = picture.image, rng.random() < 0.5
    if rng.random() < 0.5:
        image = _linear(image, offset=rng.uniform(-_BRIGHTNESS, _BRIGHTNESS))
    change_contrast, contrast = rng.random() < 0.5, rng.uniform(*_FACTORS)
    if change_contrast and not contrast_last:
        image = _linear(image, factor=contrast)
    change_saturation, saturation = rng.random() < 0.5, rng.uniform(*_FACTORS)
    change_hue, hue = rng.random() < 0.5, round(rng.uniform(-_HUE, _HUE))
    if change_saturation or change_hue:
        channels = np.array(image.convert("HSV"), dtype=np.int32)
        channels[..., 0] = (channels[..., 0] + (hue if change_hue else 0)) % 256
        if change_saturation:
            channels[..., 1] = np.clip(channels[..., 1] * saturation, 0, 255)
        image = Image.fromarray(channels.astype(np.uint8), mode="HSV").convert("RGB")
    if change_contrast and contrast_last:
        image = _linear(image, factor=contrast)
    return Picture(image, picture.mask)


def _linear(image: Image.Image, *, factor: float = 1.0, offset: float = 0.0) -> Image.Image:
    changed = to_pixels(image).astype(np.float32) * factor + offset
    return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))


def view(picture: Picture, *, side: int, ignore_index: int) -> View:
    """Normalise a picture, and extend it below and to the right to a square: zeros, void."""
    height, width = picture.mask.shape
    missing = (0, max(0, side - width), 0, max(0, side - height))
    pixels = normalise(torch.from_numpy(to_pixels(picture.image))[None])[0]
    mask = torch.from_numpy(np.array(picture.mask))
    return View(
        nn.functional.pad(pixels, missing), nn.functional.pad(mask, missing, value=ignore_index)
    )


def pad_to_patches(images: Tensor, *, patch_size: int, value: int = 0) -> Tensor:
    """Surround images [..., height, width] up to whole patches, as DINOv2's CenterPadding."""
    padding: list[int] = []
    for side in (images.shape[-1], images.shape[-2]):
        missing = -side % patch_size
        padding += [missing // 2, missing - missing // 2]
    return nn.functional.pad(images, padding, value=value)
