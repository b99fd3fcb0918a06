"""Deterministic image transforms of evaluation; as data, they are part of a feature's address."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from franca.data.augment_draws import View, draw_multicrop
from franca.randomness import numpy_generator

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class CentreCrop:
    """Resize the short side and crop the centre, as torchvision's Resize and CenterCrop.

    Attributes:
        resize: pixels of the short side (bicubic with antialiasing).
        crop: pixels of both sides of the crop; a smaller image is padded with black.
    """

    resize: int
    crop: int

    @property
    def size(self) -> int:
        """Pixels of a side of the result."""
        return self.crop

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the RGB image, crop x crop pixels."""
        short = min(image.size)
        width, height = (int(self.resize * side / short) for side in image.size)
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        # Python's round, halves to even, is torchvision's: another rule shifts the crop by a pixel.
        left = round((max(width, self.crop) - self.crop) / 2) - max(0, self.crop - width) // 2
        top = round((max(height, self.crop) - self.crop) / 2) - max(0, self.crop - height) // 2
        return resized.crop((left, top, left + self.crop, top + self.crop))


@dataclass(frozen=True)
class Square:
    """Resize to a square whatever the aspect ratio: every patch keeps its place in the mask.

    Attributes:
        side: pixels (bilinear with antialiasing).
    """

    side: int

    @property
    def size(self) -> int:
        """Pixels of a side of the result."""
        return self.side

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the RGB image, side x side pixels."""
        return image.resize((self.side, self.side), Image.Resampling.BILINEAR)


Transform = CentreCrop | Square


@dataclass(frozen=True)
class RandomCrop:
    """The augmentation of the linear probe: torchvision's RandomResizedCrop, mirrored at times.

    Attributes:
        scale: least and greatest share of the image's area.
        flip: probability to mirror.
        seed: of the draws, each a function of the seed and the image's place in the stream.
    """

    scale: tuple[float, float]
    flip: float
    seed: int

    def __call__(self, image: Image.Image, *, size: int, place: int) -> Image.Image:
        """Return the RGB image, size x size pixels (bicubic with antialiasing)."""
        view = View(
            size=size, scale=self.scale, flip=self.flip, jitter=0.0, strengths=(0.0,) * 4,
            grayscale=0.0, blur=0.0, blur_kernel=1, blur_sigma=(1.0, 1.0), solarize=0.0,
            solarize_threshold=128,
        )  # fmt: skip
        rng = numpy_generator(self.seed, "evaluate/linear/crop", place)
        [crop] = draw_multicrop(rng, height=image.height, width=image.width, views=(view,))
        top, left, height, width = crop.box
        cut = image.crop((left, top, left + width, top + height))
        resized = cut.resize((size, size), Image.Resampling.BICUBIC)
        return ImageOps.mirror(resized) if crop.flip else resized


def to_pixels(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Return the pixels of an RGB image as a writable array."""
    return np.array(image, dtype=np.uint8)


def normalise(
    images: UInt8[Tensor, "batch height width 3"],
) -> Float[Tensor, "batch 3 height width"]:
    """Bring 8-bit pixels to ImageNet's mean 0 and standard deviation 1, channels first."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=images.device)[:, None, None]
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
