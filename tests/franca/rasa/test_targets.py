from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from franca.rasa.targets import (
    TargetName,
    border_distance,
    brightness,
    build_target,
    crop_scale,
    fourier,
    position,
    sharpness,
)
from franca.rasa.views import View


def view_of(pixels, scale=0.5):
    return View(image=torch.as_tensor(pixels, dtype=torch.float32), scale=scale)


def noise(side=24):
    return np.random.default_rng(0).random((3, side, side), dtype=np.float32)


def test_position_goes_row_by_row_from_corner_to_corner():
    assert position((2, 3)).tolist() == [[0, 0], [0, 0.5], [0, 1], [1, 0], [1, 0.5], [1, 1]]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_fourier_holds_every_product_and_position_itself(order):
    patterns = fourier((7, 5), order=order)
    assert patterns.shape == (35, (order + 1) ** 2 - 1)
    assert patterns.min() >= 0
    assert patterns.max() <= 1
    design = torch.cat([torch.ones(35, 1), patterns], dim=1)
    assert torch.linalg.matrix_rank(design) == (order + 1) ** 2
    fitted = design @ torch.linalg.lstsq(design, position((7, 5))).solution
    torch.testing.assert_close(fitted, position((7, 5)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("order", [0, 5])
def test_fourier_orders_that_the_grid_cannot_hold_are_refused(order):
    with pytest.raises(ValueError, match=r"set rasa\.fourier_order between 1 and 4"):
        fourier((7, 5), order=order)


def test_a_grid_of_one_row_has_no_position():
    with pytest.raises(ValueError, match="grid of 1x3"):
        position((1, 3))


def test_brightness_is_the_mean_luma_of_each_patch():
    pixels = noise()
    luma = 0.299 * pixels[0] + 0.587 * pixels[1] + 0.114 * pixels[2]
    expected = luma.reshape(2, 12, 3, 8).mean((1, 3)).reshape(6, 1)
    np.testing.assert_allclose(brightness(view_of(pixels), (2, 3)), expected, atol=1e-6)


def test_sharpness_falls_with_blur_and_vanishes_on_flat_patches():
    picture = Image.fromarray((noise().transpose(1, 2, 0) * 255).astype(np.uint8))
    values = [
        sharpness(view_of(np.asarray(blurred).transpose(2, 0, 1) / 255), (2, 2)).mean().item()
        for blurred in [picture, picture.filter(ImageFilter.GaussianBlur(2))]
    ]
    assert values[1] < 0.5 * values[0] < 0.5
    assert sharpness(view_of(np.full((3, 8, 8), 0.5)), (2, 2)).abs().max() < 1e-3


def test_border_distance_is_zero_outside_and_one_in_the_middle():
    distance = border_distance((5, 5)).view(5, 5)
    assert distance[0].tolist() == [0] * 5
    assert distance[2].tolist() == [0, 0.5, 1, 0.5, 0]


def test_crop_scale_is_the_same_for_all_patches():
    assert crop_scale(view_of(noise(), scale=0.25), (2, 2)).tolist() == [[0.25]] * 4


@pytest.mark.parametrize("name", get_args(TargetName))
def test_every_target_gives_unit_range_numbers_for_every_patch(name):
    values = build_target(name, fourier_order=2)(view_of(noise()), (4, 3))
    assert values.shape[0] == 12
    assert values.min() >= 0
    assert values.max() <= 1


def test_fourier_needs_an_order():
    with pytest.raises(ValueError, match=r"set rasa\.fourier_order"):
        build_target("fourier", fourier_order=None)
