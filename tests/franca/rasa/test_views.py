import numpy as np
import pytest
import torch
from PIL import Image

from franca.randomness import numpy_generator
from franca.rasa.views import ViewSettings, draw_view, normalise

STILL = {
    "min_scale": 1.0,
    "jitter_probability": 0.0,
    "brightness": 0.32,
    "contrast": 0.32,
    "saturation": 0.32,
    "hue": 0.08,
    "gray_probability": 0.0,
    "blur_probability": 0.0,
    "blur_sigma": (0.1, 2.0),
    "flip_probability": 0.0,
    "rotation": "none",
    "rotation_probability": 0.0,
    "normalise_std": (0.229, 0.224, 0.225),
}


def draw(image, index=0, side=32, **changes):
    settings = ViewSettings(**{**STILL, **changes})
    return draw_view(image, side=side, settings=settings, random=numpy_generator(0, "test", index))


@pytest.fixture(scope="module")
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_views_repeat_and_differ(picture):
    busy = {"min_scale": 0.25, "jitter_probability": 1.0, "blur_probability": 0.5}
    assert torch.equal(draw(picture, 1, **busy).image, draw(picture, 1, **busy).image)
    assert not torch.equal(draw(picture, 1, **busy).image, draw(picture, 2, **busy).image)


def test_scale_is_the_share_of_the_image(picture):
    scales = [draw(picture, index, min_scale=0.25).scale for index in range(50)]
    assert 0.2 < min(scales) < 0.4
    assert 0.8 < max(scales) <= 1


@pytest.mark.parametrize("rotation", ["quarter_turns", "reflect"])
def test_clean_rotations_bring_no_black_corner(rotation):
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    for index in range(20):
        view = draw(white, index, rotation=rotation, rotation_probability=1.0)
        assert view.image.min() == 1


def test_released_rotation_does():
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    views = [
        draw(white, index, rotation="black_corners", rotation_probability=1.0).image
        for index in range(20)
    ]
    corners, middles = (torch.stack([view[:, at, at] for view in views]).mean() for at in (0, 16))
    assert corners < 0.5
    assert middles == 1


def test_quarter_turns_use_all_four(picture):
    square = picture.crop((0, 0, 32, 32))
    seen = {
        draw(square, index, rotation="quarter_turns", rotation_probability=1.0)
        .image.numpy()
        .tobytes()
        for index in range(40)
    }
    assert len(seen) == 4


def test_flips_mirror_each_axis(picture):
    square = picture.crop((0, 0, 32, 32))
    flipped = draw(square, flip_probability=1.0).image
    torch.testing.assert_close(flipped, draw(square).image.flip(1, 2))


def test_gray_has_no_colour(picture):
    image = draw(picture, gray_probability=1.0).image
    assert torch.equal(image[0], image[1])


def test_hue_shift_keeps_gray_and_moves_colour():
    only_hue = {
        "jitter_probability": 1.0,
        "brightness": 0.0,
        "contrast": 0.0,
        "saturation": 0.0,
        "hue": 0.5,
    }
    gray = Image.new("RGB", (8, 8), (90, 90, 90))
    torch.testing.assert_close(draw(gray, **only_hue).image, draw(gray).image)
    red = Image.new("RGB", (8, 8), (200, 10, 10))
    assert (draw(red, **only_hue).image - draw(red).image).abs().max() > 0.1


def test_an_image_too_narrow_for_any_crop_is_cut_from_its_middle():
    thin = Image.new("RGB", (400, 2), (9, 9, 9))
    assert draw(thin, min_scale=0.5).image.shape == (3, 32, 32)


def test_normalise_centres_each_channel():
    images = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 2, 2)
    assert normalise(images, std=(0.1, 0.2, 0.3)).abs().max() < 1e-6
    lifted = normalise(images + 0.3, std=(0.1, 0.2, 0.3))
    torch.testing.assert_close(lifted[0, :, 0, 0], torch.tensor([3.0, 1.5, 1.0]))
