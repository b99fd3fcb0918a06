"""Multi-crop on 8-bit arrays: what torchvision and Pillow compute, within a level, much faster.

Resizing is torch's vectorised port of Pillow's antialiased bicubic filter (OpenCV has none); the
rest is OpenCV. Differences to torchvision on photographs, per operation, as the tests hold them:
none for flip and solarize; at most a level for brightness, contrast, saturation, grayscale, blur;
at most two for resizing; for hue, 99.5 % of the values within a level (both quantise hue to 256
steps, and step over at slightly different places).
"""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8

from franca.data.augment_draws import ColourOperation, CropParams

Pixels = npt.NDArray[np.uint8]

_LUMA = np.array([0.299, 0.587, 0.114])
_IDENTITY = np.eye(3)
# OpenCV's HSV of floats: degrees, [0, 1], [0, 255]. The offset keeps whole numbers whole when they
# are truncated.
_HSV_TO_STEPS = np.array([[255 / 360, 0, 0, 1e-4], [0, 255, 0, 1e-4], [0, 0, 1, 0]], np.float32)
_STEPS_TO_HSV = np.diag([360 / 255, 1 / 255, 1]).astype(np.float32)


def apply_opencv(
    image: UInt8[np.ndarray, "height width 3"],
    crops: Sequence[CropParams],
    *,
    approximate_colour: bool,
) -> list[UInt8[np.ndarray, "size size 3"]]:
    """Cut and change each crop, in the order of `CropParams`.

    Args:
        image: RGB; not changed.
        crops: from `draw_multicrop`.
        approximate_colour: fold jitter and grayscale into one 3 x 4 matrix. Unlike torchvision's,
            its hue turns RGB about the grey axis instead of round HSV's hexagon, and levels are
            rounded and clipped once, at the end.
    """
    colour = _linear_colour if approximate_colour else _exact_colour
    return [_apply(image, crop, colour) for crop in crops]


def cut(
    image: UInt8[np.ndarray, "height width 3"], crop: CropParams
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut, resize and mirror one crop; its colours stay."""
    top, left, height, width = crop.box
    pixels = resize(image[top : top + height, left : left + width], size=crop.size)
    return cv2.flip(pixels, 1) if crop.flip else pixels


def _apply(
    image: Pixels, crop: CropParams, colour: Callable[[Pixels, CropParams], Pixels]
) -> Pixels:
    pixels = cut(image, crop)
    if crop.jitter or crop.grayscale:
        pixels = colour(pixels, crop)
    if crop.blur_sigma is not None:
        kernel = cv2.getGaussianKernel(crop.blur_kernel, crop.blur_sigma, cv2.CV_32F)
        pixels = cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    if crop.solarize_threshold is not None:
        levels = np.arange(256, dtype=np.uint8)
        pixels = cv2.LUT(pixels, np.where(levels < crop.solarize_threshold, levels, 255 - levels))
    return pixels


def resize(image: UInt8[np.ndarray, "h w 3"], *, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Resize to a square with Pillow's antialiased bicubic filter, to within two levels.

    Rows are filtered first, as Pillow up to 12 does and the paper did. Pillow 13 starts with the
    columns of some tall images (python-pillow/Pillow#9549); levels are clipped between the passes,
    so that noise may then differ by more.
    """
    height, width, channels = image.shape
    # A batch of one in channels-last strides, or torch takes a path three times as slow.
    strides = (height * width * channels, 1, width * channels, channels)
    pixels = torch.from_numpy(np.ascontiguousarray(image))
    batch = pixels.as_strided((1, channels, height, width), strides)
    resized = torch.nn.functional.interpolate(
        batch, size=(size, size), mode="bicubic", antialias=True
    )
    return np.ascontiguousarray(resized.numpy()[0].transpose(1, 2, 0))


def _exact_colour(pixels: Pixels, crop: CropParams) -> Pixels:
    for operation, factor in crop.jitter:
        pixels = COLOUR[operation](pixels, factor)
    return _gray(pixels) if crop.grayscale else pixels


def _brightness(pixels: Pixels, factor: float) -> Pixels:
    return _blend(pixels, pixels, factor, 0.0, 0.0)


def _contrast(pixels: Pixels, factor: float) -> Pixels:
    mean = cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[0]
    return _blend(pixels, pixels, factor, 0.0, (1 - factor) * int(mean + 0.5))


def _saturation(pixels: Pixels, factor: float) -> Pixels:
    return _blend(pixels, _gray(pixels), factor, 1 - factor, 0.0)


def _blend(pixels: Pixels, other: Pixels, factor: float, rest: float, level: float) -> Pixels:
    # OpenCV rounds where Pillow truncates: take off half a level, but not from whole numbers.
    blended: Pixels = cv2.addWeighted(pixels, factor, other, rest, level - 0.499)
    return blended


def _hue(pixels: Pixels, turns: float) -> Pixels:
    """Shift the hue as Pillow's 8-bit HSV does: hue and saturation are truncated to 256 steps.

    One buffer of floats is rewritten throughout: fresh ones of this size come from the operating
    system, page by page, which costs three times the arithmetic.
    """
    hsv = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2HSV)
    cv2.transform(hsv, _HSV_TO_STEPS, dst=hsv)
    steps = hsv.astype(np.uint8)
    steps[..., 0] += np.uint8(int(turns * 255) % 256)  # wraps around
    np.copyto(hsv, steps)
    cv2.transform(hsv, _STEPS_TO_HSV, dst=hsv)
    shifted: Pixels = cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=hsv))
    return shifted


def _gray(pixels: Pixels) -> Pixels:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    gray: Pixels = cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB)
    return gray


COLOUR: dict[ColourOperation, Callable[[Pixels, float], Pixels]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}


def _linear_colour(pixels: Pixels, crop: CropParams) -> Pixels:
    """Apply all colour operations as one affine map of RGB.

    Each of them maps grey to grey, so that the offset is the same for the three channels.
    """
    matrix, offset = _IDENTITY, 0.0
    for operation, factor in crop.jitter:
        if operation == "brightness":
            matrix, offset = factor * matrix, factor * offset
        elif operation == "contrast":
            mean = float(_LUMA @ matrix @ cv2.mean(pixels)[:3]) + offset
            matrix, offset = factor * matrix, factor * offset + (1 - factor) * mean
        elif operation == "saturation":
            matrix = factor * matrix + (1 - factor) * (_LUMA @ matrix)
        else:
            matrix = _hue_rotation(factor) @ matrix
    affine = np.empty((3, 4), np.float32)
    affine[:, :3] = _LUMA @ matrix if crop.grayscale else matrix
    affine[:, 3] = offset
    changed: Pixels = cv2.transform(pixels, affine)
    return changed


def _hue_rotation(turns: float) -> npt.NDArray[np.float64]:
    """Rotate RGB about its grey axis, red towards green as in HSV (Rodrigues' formula)."""
    cosine, sine = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    same, next_, previous = (
        (1 - cosine) / 3 + share for share in (cosine, -sine / math.sqrt(3), sine / math.sqrt(3))
    )
    return np.array([[same, next_, previous], [previous, same, next_], [next_, previous, same]])
