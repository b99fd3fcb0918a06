"""Transforms against torchvision's results, pixel for pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from franca.eval.transforms import CentreCrop, Square, normalise, to_pixels


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
