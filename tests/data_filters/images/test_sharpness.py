"""Focus."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from data_filters.images.candidate import Candidate
from data_filters.images.sharpness import SharpnessFilter, laplacian_variance


def test_the_laplacian_of_a_plane_is_zero_and_of_a_spot_is_known():
    ramp = np.add.outer(np.arange(8.0), 2 * np.arange(9.0)).astype(np.float32)
    assert laplacian_variance(ramp) == 0
    spot = np.zeros((5, 5), np.float32)
    spot[2, 2] = 1  # Laplacian: -4 in the middle, 1 at four neighbours, of nine places
    assert laplacian_variance(spot) == pytest.approx(20 / 9)
    assert laplacian_variance(np.ones((2, 9), np.float32)) == 0


def test_reasons(encode):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4)))
    judge = SharpnessFilter(min_variance=50.0)
    assert judge(Candidate(encode(noise, "PNG"))).kept
    assert judge(Candidate(encode(blurred, "PNG"))).reason == "blurred"


def test_three_pixels_are_enough_and_the_limit_passes(encode):
    small = np.zeros((3, 4), np.float32)
    small[1, 1] = 1  # Laplacian: -4 and 1
    assert laplacian_variance(small) == 6.25
    levels = np.repeat((small * 40).astype(np.uint8)[..., None], 3, axis=2)
    candidate = Candidate(encode(levels, "PNG"))
    variance = laplacian_variance(candidate.grey)
    assert variance > 0
    assert SharpnessFilter(min_variance=variance)(candidate).kept
