"""Transforms against torchvision's results, pixel for pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from compat.torchvision_shim import ensure_torchvision
from franca.data.augment_draws import View, draw_multicrop
from franca.eval.transforms import CentreCrop, RandomCrop, Square, normalise, to_pixels
from franca.randomness import numpy_generator


@pytest.mark.parametrize("case", ["wide", "small"])
@pytest.mark.parametrize(("resize", "crop"), [(32, 28), (28, 28)])
def test_matches_the_official_evaluation_transform(oracle, case, resize, crop):
    arrays = oracle("aug")
    image = Image.fromarray(arrays[f"in/eval/{case}"])
    pixels = torch.from_numpy(to_pixels(CentreCrop(resize=resize, crop=crop)(image)))
    expected = arrays[f"out/eval/{case}_resize{resize}_crop{crop}"]
    np.testing.assert_allclose(normalise(pixels[None])[0], expected, atol=1e-6)


def test_small_images_are_padded_with_black():
    white = Image.new("RGB", (8, 8), (255, 255, 255))
    pixels = to_pixels(CentreCrop(resize=8, crop=12)(white))
    assert pixels.shape == (12, 12, 3)
    assert pixels[2:10, 2:10].min() == 255
    assert pixels.sum() == 8 * 8 * 3 * 255


def test_square_ignores_the_aspect_ratio():
    transform = Square(side=10)
    assert transform(Image.new("RGB", (40, 20))).size == (10, 10)
    assert transform.size == 10


def test_random_crops_are_those_of_torchvision():
    ensure_torchvision()
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import hflip, resized_crop

    image = Image.fromarray(
        np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)
    )
    crop = RandomCrop(scale=(0.08, 1.0), flip=0.5, seed=0)
    flipped = []
    for place in range(8):
        view = View(
            size=16, scale=(0.08, 1.0), flip=0.5, jitter=0.0, strengths=(0.0,) * 4, grayscale=0.0,
            blur=0.0, blur_kernel=1, blur_sigma=(1.0, 1.0), solarize=0.0, solarize_threshold=128,
        )  # fmt: skip
        rng = numpy_generator(0, "evaluate/linear/crop", place)
        [drawn] = draw_multicrop(rng, height=40, width=60, views=(view,))
        expected = resized_crop(image, *drawn.box, [16, 16], InterpolationMode.BICUBIC)
        expected = hflip(expected) if drawn.flip else expected
        np.testing.assert_array_equal(crop(image, size=16, place=place), expected)
        flipped.append(drawn.flip)
    assert set(flipped) == {False, True}
