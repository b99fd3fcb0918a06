"""Views of images with masks: image and mask stay together, and every rule of the references."""

import numpy as np
import pytest
import torch
from PIL import Image

from franca.eval.crops import (
    Picture,
    cut,
    distort_colours,
    fit_within,
    pad_to_patches,
    random_crop,
    random_flip,
    random_resized_crop,
    resize,
    view,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def coded(height=24, width=40):
    """A picture whose red is its mask, so that any disagreement shows."""
    classes = rng().integers(0, 5, (height // 4, width // 4)).astype(np.uint8)
    mask = classes.repeat(4, 0).repeat(4, 1)
    image = np.stack([40 * mask, np.zeros_like(mask), np.zeros_like(mask)], axis=-1)
    return Picture(Image.fromarray(image), mask)


def reds(picture):
    return np.array(picture.image)[..., 0]


@pytest.mark.parametrize("seed", range(4))
def test_cuts_and_flips_move_image_and_mask_alike(seed):
    part = cut(coded(), top=3, left=5, height=11, width=20)
    np.testing.assert_array_equal(reds(part), 40 * part.mask)
    crop = random_crop(coded(), rng(seed), side=16, largest_share=1.0, ignore_index=255)
    np.testing.assert_array_equal(reds(crop), 40 * crop.mask)
    flipped = random_flip(coded(), rng(seed))
    np.testing.assert_array_equal(reds(flipped), 40 * flipped.mask)
    larger = resize(coded(), height=48, width=80)
    inside = (larger.mask[:, 1:] == larger.mask[:, :-1]).mean()
    assert inside > 0.8
    assert (reds(larger) == 40 * larger.mask).mean() > 0.5  # borders are blurred in the image


def test_half_of_the_pictures_are_flipped():
    picture = coded()
    flipped = [random_flip(picture, rng(seed)).mask is not picture.mask for seed in range(200)]
    assert 75 < sum(flipped) < 125


def test_resized_crops_have_the_area_asked_for():
    """Corners of a coordinate picture say which box was cut."""
    mask = np.zeros((100, 100), np.uint8)
    row, column = np.mgrid[0:100, 0:100].astype(np.uint8)
    picture = Picture(Image.fromarray(np.stack([row, column, mask], -1)), mask)
    shares = []
    for seed in range(50):
        part = np.array(
            random_resized_crop(picture, rng(seed), side=100, scale=(0.8, 1.0)).image
        ).astype(float)
        assert part.shape == (100, 100, 3)
        spans = np.ptp(part[..., 0]) + 1, np.ptp(part[..., 1]) + 1
        shares.append(spans[0] * spans[1] / 1e4)
    assert 0.75 < min(shares) < 0.86
    assert 0.92 < max(shares) <= 1.01


@pytest.mark.parametrize(
    ("size", "expected"),
    [((375, 500), (518, 691)), ((500, 375), (691, 518)), ((10, 100), (205, 2048))],
)
def test_the_ratio_is_kept_within_both_sides(size, expected):
    assert fit_within(*size, long_side=2048, short_side=518) == expected


def test_crops_that_one_class_fills_are_drawn_anew():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 48:] = 1  # most squares of 16 pixels see one class only
    mask[:4] = 255
    picture = Picture(Image.fromarray(np.zeros((64, 64, 3), np.uint8)), mask)

    def mixed(largest_share):
        parts = [
            random_crop(
                picture, rng(seed), side=16, largest_share=largest_share, ignore_index=255
            ).mask
            for seed in range(60)
        ]
        return sum(len(set(np.unique(part)) - {255}) == 2 for part in parts)

    assert mixed(0.75) > 2 * mixed(1.0) > 0


def test_small_pictures_are_not_cut_but_extended_with_zeros_and_void():
    part = random_crop(coded(8, 12), rng(), side=16, largest_share=0.5, ignore_index=255)
    assert part.mask.shape == (8, 12)
    seen = view(part, side=16, ignore_index=255)
    assert seen.pixels.shape == (3, 16, 16)
    assert (seen.mask[8:] == 255).all()
    assert (seen.mask[:, 12:] == 255).all()
    assert float(seen.pixels[:, 8:].abs().max()) == 0.0
    assert float(seen.pixels[:, :8, :12].abs().min()) > 0.0


def test_colours_change_and_classes_do_not():
    grey = Picture(Image.new("RGB", (8, 8), (120, 100, 80)), np.ones((8, 8), np.uint8))
    found = np.array(
        [np.array(distort_colours(grey, rng(seed)).image)[0, 0] for seed in range(300)]
    )
    assert (found == (120, 100, 80)).all(1).mean() == pytest.approx(1 / 16, abs=0.05)
    assert found[:, 0].min() < 60
    assert found[:, 0].max() > 180
    again = distort_colours(grey, rng(3))
    np.testing.assert_array_equal(np.array(again.image)[0, 0], found[3])
    assert again.mask is grey.mask


@pytest.mark.parametrize("size", [(14, 28), (13, 30), (1, 1)])
def test_padding_is_around_and_only_to_whole_patches(size):
    padded = pad_to_patches(torch.ones(2, 3, *size), patch_size=14)
    assert all(side % 14 == 0 for side in padded.shape[2:])
    assert padded.sum() == 2 * 3 * size[0] * size[1]
    assert all(after - before < 14 for before, after in zip(size, padded.shape[2:], strict=True))
    top = int(padded[0, 0].any(1).nonzero()[0])
    assert top == (padded.shape[2] - size[0]) // 2
    masks = pad_to_patches(torch.zeros(1, *size).byte(), patch_size=14, value=255)
    assert (masks == 255).sum() == masks.numel() - size[0] * size[1]
