"""Random views of an image: what stays predictable from where a patch is, is absolute position.

Flips and rotations break what scenes have in common (sky above, ground below). Rotations of the
released code leave black corners, a cue to position of their own; `quarter_turns` and `reflect`
have none. Released transforms: rasa/experiments/train_rasa.py of https://github.com/valeoai/Franca.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor

Rotation = Literal["none", "quarter_turns", "reflect", "black_corners"]
_CROP_TRIES = 10
_ASPECT = (3 / 4, 4 / 3)
_MEAN = (0.485, 0.456, 0.406)


@dataclass(frozen=True)
class View:
    """A square view, and what a target may want to know of how it was taken.

    Attributes:
        image: values in [0, 1], not normalised.
        scale: share of the image's area that it shows.
    """

    image: Float[Tensor, "3 side side"]
    scale: float


@dataclass(frozen=True)
class ViewSettings:
    """How views are drawn; probabilities are per view.

    Attributes:
        min_scale: smallest share of the image's area that a crop covers.
        jitter_probability, brightness, contrast, saturation, hue: colour jitter, in random order;
            factors are drawn from 1 +- value, hue shifts from +- value turns.
        gray_probability: of dropping colour.
        blur_probability, blur_sigma: Gaussian blur, its deviation in pixels drawn from a range.
        flip_probability: of a horizontal flip, and again of a vertical one.
        rotation: `none`, `quarter_turns` (0, 90, 180 or 270 degrees), or an angle within +-90
            degrees over `reflect`-ed or `black_corners`.
        rotation_probability: of rotating by an angle, or by a quarter turn drawn from all four.
        normalise_std: per channel; the mean is ImageNet's.
    """

    min_scale: float
    jitter_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    gray_probability: float
    blur_probability: float
    blur_sigma: tuple[float, float]
    flip_probability: float
    rotation: Rotation
    rotation_probability: float
    normalise_std: tuple[float, float, float]


def draw_view(
    image: Image.Image, *, side: int, settings: ViewSettings, random: np.random.Generator
) -> View:
    """Draw one view of `side` pixels."""
    box, scale = _draw_box(image.size, min_scale=settings.min_scale, random=random)
    view = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, box=box)
    if random.random() < settings.jitter_probability:
        view = _jitter(view, settings=settings, random=random)
    if random.random() < settings.gray_probability:
        view = view.convert("L").convert("RGB")
    if random.random() < settings.blur_probability:
        view = view.filter(ImageFilter.GaussianBlur(random.uniform(*settings.blur_sigma)))
    for flip in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        if random.random() < settings.flip_probability:
            view = view.transpose(flip)
    if random.random() < settings.rotation_probability:
        view = _rotate(view, rotation=settings.rotation, random=random)
    pixels = np.asarray(view, dtype=np.float32).transpose(2, 0, 1) / 255
    return View(image=torch.from_numpy(pixels), scale=scale)


def normalise(
    images: Float[Tensor, "batch 3 height width"], *, std: tuple[float, float, float]
) -> Float[Tensor, "batch 3 height width"]:
    """Subtract ImageNet's mean and divide by `std`, per channel."""
    mean, deviation = torch.tensor(_MEAN), torch.tensor(std)
    return (images - mean[:, None, None]) / deviation[:, None, None]


def _draw_box(
    size: tuple[int, int], *, min_scale: float, random: np.random.Generator
) -> tuple[tuple[int, int, int, int], float]:
    """Draw a box as torchvision's RandomResizedCrop: (left, top, right, bottom), area share."""
    width, height = size
    for _ in range(_CROP_TRIES):
        area = random.uniform(min_scale, 1) * width * height
        aspect = math.exp(random.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
            return (left, top, left + w, top + h), w * h / (width * height)
    w, h = min(width, round(height * _ASPECT[1])), min(height, round(width / _ASPECT[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return (left, top, left + w, top + h), w * h / (width * height)


def _jitter(
    image: Image.Image, *, settings: ViewSettings, random: np.random.Generator
) -> Image.Image:
    enhancers = [
        (ImageEnhance.Brightness, settings.brightness),
        (ImageEnhance.Contrast, settings.contrast),
        (ImageEnhance.Color, settings.saturation),
    ]
    for choice in random.permutation(len(enhancers) + 1):
        if choice == len(enhancers):
            image = _shift_hue(image, turns=random.uniform(-settings.hue, settings.hue))
        else:
            enhancer, strength = enhancers[choice]
            image = enhancer(image).enhance(1 + random.uniform(-strength, strength))
    return image


def _shift_hue(image: Image.Image, *, turns: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shift = round(turns * 255) % 256
    shifted = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")


def _rotate(image: Image.Image, *, rotation: Rotation, random: np.random.Generator) -> Image.Image:
    if rotation == "none":
        return image
    if rotation == "quarter_turns":
        return image.rotate(90 * int(random.integers(4)))
    degrees = random.uniform(-90, 90)
    if rotation == "black_corners":
        return image.rotate(degrees, Image.Resampling.NEAREST)
    side = image.width
    margin = math.ceil(side * (math.sqrt(2) - 1) / 2)  # what a rotated square reaches beyond itself
    padded = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "reflect")
    turned = Image.fromarray(padded).rotate(degrees, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + side, margin + side))
