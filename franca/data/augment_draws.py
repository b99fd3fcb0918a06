"""The random choices of multi-crop, apart from any image operation: drawn once, for every backend.

The distributions are torchvision's RandomResizedCrop, ColorJitter and GaussianBlur, as DINOv2's
DataAugmentationDINO combines them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np

ColourOperation = Literal["brightness", "contrast", "saturation", "hue"]

_OPERATIONS: tuple[ColourOperation, ...] = ("brightness", "contrast", "saturation", "hue")
_ORDERS = tuple(permutations(range(4)))
_BOX_ATTEMPTS = 10  # RandomResizedCrop's
_LOG_ASPECT = math.log(4 / 3)
_DRAWS = 2 * _BOX_ATTEMPTS + 2 + 11  # uniform numbers a crop, used or not: streams stay aligned


@dataclass(frozen=True, kw_only=True)
class View:
    """The distribution of one crop of an image.

    Attributes:
        size: side of the crop, in pixels.
        scale: least and greatest share of the image's area.
        flip: probability to mirror.
        jitter: probability to jitter the colours.
        strengths: brightness, contrast and saturation vary by 1 ± strength, hue by ± strength.
        grayscale: probability to drop the colours.
        blur: probability to blur.
        blur_kernel: width of the blur, in pixels.
        blur_sigma: least and greatest standard deviation of the blur, in pixels.
        solarize: probability to invert bright pixels.
        solarize_threshold: least level that is inverted.
    """

    size: int
    scale: tuple[float, float]
    flip: float
    jitter: float
    strengths: tuple[float, float, float, float]
    grayscale: float
    blur: float
    blur_kernel: int
    blur_sigma: tuple[float, float]
    solarize: float
    solarize_threshold: int

    @cached_property
    def jitter_ranges(self) -> tuple[tuple[float, float], ...]:
        """Least and greatest factor of brightness, contrast, saturation; shift of hue."""
        *factors, hue = self.strengths
        return *((max(0.0, 1 - strength), 1 + strength) for strength in factors), (-hue, hue)


@dataclass(frozen=True, kw_only=True, slots=True)
class CropParams:
    """What happens to one crop, in this order.

    Attributes:
        box: top, left, height and width in the image, in pixels.
        size: side after resizing, in pixels.
        flip: whether it is mirrored.
        jitter: colour operations with their factors (hue: shift in turns), in order.
        grayscale: whether the colours are dropped.
        blur_sigma: standard deviation of the blur in pixels; None for no blur.
        blur_kernel: width of the blur, in pixels.
        solarize_threshold: least level that is inverted; None to invert nothing.
    """

    box: tuple[int, int, int, int]
    size: int
    flip: bool
    jitter: tuple[tuple[ColourOperation, float], ...]
    grayscale: bool
    blur_sigma: float | None
    blur_kernel: int
    solarize_threshold: int | None


def draw_multicrop(
    rng: np.random.Generator, *, height: int, width: int, views: Sequence[View]
) -> list[CropParams]:
    """Draw the parameters of every crop of an image of height x width pixels."""
    uniforms = rng.random((len(views), _DRAWS)).tolist()
    return [
        _crop_params(view, row, height=height, width=width)
        for view, row in zip(views, uniforms, strict=True)
    ]


def _crop_params(view: View, uniforms: list[float], *, height: int, width: int) -> CropParams:
    num_box = 2 * _BOX_ATTEMPTS + 2
    flip, jitter, order, grayscale, blur, sigma, solarize, *factors = uniforms[num_box:]
    least, greatest = view.blur_sigma
    return CropParams(
        box=_box(view.scale, uniforms[:num_box], height=height, width=width),
        size=view.size,
        flip=flip < view.flip,
        jitter=_jitter(view, order, factors) if jitter < view.jitter else (),
        grayscale=grayscale < view.grayscale,
        blur_sigma=least + sigma * (greatest - least) if blur < view.blur else None,
        blur_kernel=view.blur_kernel,
        solarize_threshold=view.solarize_threshold if solarize < view.solarize else None,
    )


def random_box(
    rng: np.random.Generator, *, scale: tuple[float, float], height: int, width: int
) -> tuple[int, int, int, int]:
    """Draw (top, left, height, width) of a crop like RandomResizedCrop.

    Args:
        rng: of the draw.
        scale: least and greatest share of the area.
        height: of the image in pixels.
        width: likewise.
    """
    return _box(scale, rng.random(2 * _BOX_ATTEMPTS + 2).tolist(), height=height, width=width)


def _box(
    scale: tuple[float, float], uniforms: list[float], *, height: int, width: int
) -> tuple[int, int, int, int]:
    """Choose a box like RandomResizedCrop: ten tries, then the largest allowed in the centre."""
    least, greatest = scale
    *attempts, vertical, horizontal = uniforms
    for share, aspect in zip(attempts[::2], attempts[1::2], strict=True):
        area = height * width * (least + share * (greatest - least))
        ratio = math.exp(_LOG_ASPECT * (2 * aspect - 1))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(vertical * (height - box_height + 1))
            return top, int(horizontal * (width - box_width + 1)), box_height, box_width
    box_width = min(width, round(height * 4 / 3))
    box_height = min(height, round(width * 4 / 3))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _jitter(
    view: View, order: float, uniforms: list[float]
) -> tuple[tuple[ColourOperation, float], ...]:
    factors = [
        low + uniform * (high - low)
        for (low, high), uniform in zip(view.jitter_ranges, uniforms, strict=True)
    ]
    return tuple([(_OPERATIONS[i], factors[i]) for i in _ORDERS[int(order * len(_ORDERS))]])
