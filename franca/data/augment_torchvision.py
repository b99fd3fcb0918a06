"""Multi-crop with the operations of the paper's code: torchvision on Pillow images."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from compat.torchvision_shim import ensure_torchvision
from franca.data.augment_draws import ColourOperation, CropParams

ensure_torchvision()

import torchvision.transforms.functional as F  # noqa: E402  (imports only once repaired)
from torchvision.transforms import InterpolationMode  # noqa: E402

COLOUR: dict[ColourOperation, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


def apply_torchvision(
    image: UInt8[np.ndarray, "height width 3"], crops: Sequence[CropParams]
) -> list[UInt8[np.ndarray, "size size 3"]]:
    """Cut and change each crop, in the order of `CropParams`."""
    source = Image.fromarray(image)
    return [np.array(_apply(source, crop)) for crop in crops]


def _apply(source: Image.Image, crop: CropParams) -> Image.Image:
    size = [crop.size, crop.size]
    image: Image.Image = F.resized_crop(source, *crop.box, size, InterpolationMode.BICUBIC)
    if crop.flip:
        image = F.hflip(image)
    for operation, factor in crop.jitter:
        image = COLOUR[operation](image, factor)
    if crop.grayscale:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    if crop.blur_sigma is not None:
        image = F.gaussian_blur(image, crop.blur_kernel, crop.blur_sigma)
    if crop.solarize_threshold is not None:
        image = F.solarize(image, crop.solarize_threshold)
    return image
