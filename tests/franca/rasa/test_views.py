import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter

from franca.randomness import numpy_generator
from franca.rasa import views
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
    drawn = [
        draw(white, index, rotation="black_corners", rotation_probability=1.0).image
        for index in range(20)
    ]
    corners, middles = (torch.stack([view[:, at, at] for view in drawn]).mean() for at in (0, 16))
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


def test_boxes_have_the_shares_and_aspects_of_random_resized_crop():
    """A ramp along each side tells what part of it a view shows."""
    across, down = np.meshgrid(np.arange(256), np.arange(256))
    ramps = Image.fromarray(np.stack([across, down, down], axis=-1).astype(np.uint8))
    sides = []
    for index in range(300):
        pixels = draw(ramps, index, min_scale=0.25, side=64).image[:2].flatten(1) * 255
        sides.append((pixels.amax(1) - pixels.amin(1)).tolist())
    width, height = np.array(sides).T + 4  # the outermost pixels of 64 are averages of four
    assert (width * height / 256**2).min() == pytest.approx(0.25, abs=0.02)
    assert (width * height / 256**2).max() > 0.94
    assert np.log(width / height).min() == pytest.approx(-math.log(4 / 3), abs=0.04)
    assert np.log(width / height).max() == pytest.approx(math.log(4 / 3), abs=0.04)


def test_crops_are_resized_bilinearly(picture):
    square = picture.crop((0, 0, 40, 40))
    pixels = np.asarray(square.resize((32, 32), Image.Resampling.BILINEAR), np.float32) / 255
    torch.testing.assert_close(draw(square).image, torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"jitter_probability": 0.8}, 0.8),
        ({"gray_probability": 0.2}, 0.2),
        ({"blur_probability": 0.3, "blur_sigma": (1.0, 2.0)}, 0.3),
        ({"flip_probability": 0.3}, 1 - 0.7**2),
        ({"rotation_probability": 0.3, "rotation": "black_corners"}, 0.3),
    ],
)
def test_each_change_comes_as_often_as_asked(picture, changes, share):
    still = draw(picture, side=16).image
    changed = [not draw(picture, i, side=16, **changes).image.equal(still) for i in range(600)]
    assert np.mean(changed) == pytest.approx(share, abs=0.06)


ALONE = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
HALVES = np.full((8, 8, 3), 80, np.uint8)
HALVES[:, 4:] = 120


@pytest.mark.parametrize(
    ("name", "pixels", "strength"),
    [
        ("brightness", np.full((8, 8, 3), 100, np.uint8), lambda view: view.mean()),
        ("contrast", HALVES, lambda view: view[:, :, 7].mean() - view[:, :, 0].mean()),
        ("saturation", np.full((8, 8, 3), (160, 80, 80), np.uint8), lambda v: (v[0] - v[1]).mean()),
    ],
)
def test_factors_of_the_jitter_lie_evenly_around_one(name, pixels, strength):
    image = Image.fromarray(pixels)
    jitter = {**ALONE, name: 0.32, "jitter_probability": 1.0}
    plain = strength(draw(image, side=8).image)
    factors = [
        (strength(draw(image, i, side=8, **jitter).image) / plain).item() for i in range(200)
    ]
    assert min(factors) == pytest.approx(0.68, abs=0.03)
    assert max(factors) == pytest.approx(1.32, abs=0.03)
    assert np.mean(factors) == pytest.approx(1, abs=0.04)


def test_hues_are_turned_either_way():
    green = Image.new("RGB", (8, 8), (20, 200, 20))
    jitter = {**ALONE, "hue": 0.08, "jitter_probability": 1.0}
    colours = [draw(green, i, side=8, **jitter).image[:, 0, 0].tolist() for i in range(200)]
    turns = [colorsys.rgb_to_hsv(*colour)[0] - 1 / 3 for colour in colours]
    assert min(turns) == pytest.approx(-0.08, abs=0.008)
    assert max(turns) == pytest.approx(0.08, abs=0.008)


def test_colours_are_jittered_in_any_order(picture, monkeypatch):
    orders, current = set(), []

    def recorded(name, plain):
        def change(*arguments, **options):
            current.append(name)
            return plain(*arguments, **options)

        return change

    for name in ("Brightness", "Contrast", "Color"):
        monkeypatch.setattr(ImageEnhance, name, recorded(name, getattr(ImageEnhance, name)))
    monkeypatch.setattr(views, "_shift_hue", recorded("hue", views._shift_hue))
    for index in range(300):
        current.clear()
        draw(picture, index, side=8, jitter_probability=1.0)
        orders.add(tuple(current))
    assert len(orders) == math.factorial(4)


def test_blur_is_even_over_its_range(picture, monkeypatch):
    sigmas, plain = [], ImageFilter.GaussianBlur
    record = lambda sigma: sigmas.append(sigma) or plain(sigma)  # noqa: E731
    monkeypatch.setattr(ImageFilter, "GaussianBlur", record)
    for index in range(200):
        draw(picture, index, side=8, blur_probability=1.0, blur_sigma=(0.1, 2.0))
    assert 0.1 <= min(sigmas) < 0.2
    assert 1.9 < max(sigmas) <= 2.0
    assert np.mean(sigmas) == pytest.approx(1.05, abs=0.1)


@pytest.mark.parametrize("rotation", ["black_corners", "reflect"])
def test_angles_reach_a_quarter_turn_either_way(rotation):
    """Where the bright half's middle lies, seen from that of a disc, is where it was turned to."""
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    image = Image.fromarray(half).convert("RGB")
    across, down = np.meshgrid(*[np.arange(64) - 31.5] * 2)
    disc = np.hypot(across, down) < 30
    angles = []
    for index in range(120):
        view = draw(image, index, side=64, rotation=rotation, rotation_probability=1.0).image[0]
        bright = view.numpy() * disc
        angles.append(math.degrees(math.atan2(-(bright * down).sum(), (bright * across).sum())))
        if rotation == "black_corners":
            assert set(view.unique().tolist()) == {0, 1}, "nearest pixels, no mixtures"
    assert -91 < min(angles) < -80
    assert 80 < max(angles) < 91
    assert abs(np.mean(angles)) < 15
