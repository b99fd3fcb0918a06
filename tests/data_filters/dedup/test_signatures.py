"""Signatures: what survives which change."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from data_filters.dedup.signatures import (
    HASHES_PER_CROP,
    MIN_CELLS,
    looks_cropped,
    perceptual_hash,
    sign,
)
from data_filters.io.luma import Luma, averaged, grey_levels
from data_filters.io.pixels import UnreadableImageError


def looks(pixels):
    return perceptual_hash(averaged(grey_levels(pixels), min_cells=MIN_CELLS))


def changed(data, *, kind="JPEG", scale=1.0, **options):
    image = Image.open(io.BytesIO(data))
    image = image.resize(
        (round(scale * image.width), round(scale * image.height)), Image.Resampling.LANCZOS
    )
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def distance(a, b):
    return (sign(a).perceptual ^ sign(b).perceptual).bit_count()


def test_lossless_reencoding_changes_the_bytes_only(jpeg):
    data = jpeg(0)
    again = changed(data, kind="PNG")
    assert sign(data).sha256 != sign(again).sha256
    assert distance(data, again) <= 1  # luma as a JPEG holds it, or rounded from RGB
    assert sign(data).sha256 == hashlib.sha256(data).hexdigest()
    assert sign(data, sha256="known") == sign(data)._replace(sha256="known")


def test_what_is_no_image_or_not_a_whole_one_has_no_signature(jpeg):
    for data in (b"", b"<html>", jpeg(0)[:400], jpeg(0, width=300)[:-9]):
        with pytest.raises(UnreadableImageError):
            sign(data)


@pytest.mark.parametrize("index", range(5))
def test_looks_survive_lossy_reencoding_and_resizing(jpeg, index):
    data = jpeg(index, width=600, height=450)
    assert distance(data, changed(data, quality=60)) <= 6
    assert distance(data, changed(data, scale=0.7, quality=90)) <= 6
    assert distance(data, changed(data, kind="WEBP", scale=1.5, quality=80)) <= 6
    assert distance(data, changed(data, kind="PNG", scale=0.13)) <= 6  # of every pixel


def test_different_pictures_are_far_apart(jpeg):
    hashes = [sign(jpeg(index)).perceptual for index in range(40)]
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 8
    assert np.mean(distances) == pytest.approx(32, abs=2)


def test_half_of_the_bits_are_set_and_brightness_sets_none(picture):
    dark = picture(1) // 4
    bright = dark + 100
    assert looks(dark).perceptual.bit_count() == 32
    assert (looks(dark).perceptual ^ looks(bright).perceptual).bit_count() <= 2


@pytest.mark.parametrize("width", [64, 63, 97])
def test_the_mirrored_hash_is_that_of_the_mirror_image(picture, width):
    for index in range(10):
        pixels = picture(index, width=width)
        ours, turned = looks(pixels), looks(pixels[:, ::-1])
        # where 2 does not divide the width, a cell is cut off at the other end of the mirror image
        assert (ours.mirrored ^ turned.perceptual).bit_count() <= (0 if width != 97 else 2)
        assert (ours.perceptual ^ turned.mirrored).bit_count() <= (0 if width != 97 else 2)
        assert (ours.perceptual ^ ours.mirrored).bit_count() > 8


def test_the_transform_is_the_integral_of_waves_over_the_image():
    """A wave of the hash's own frequencies is found again, whatever the cells, cut off or not."""
    height, width, row, column = 70, 101, 3, 5
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    wave = 128 + 40 * np.outer(np.cos(np.pi * row * y), np.cos(np.pi * column * x))
    for min_cells, loss in ((70, 0.001), (35, 0.02), (17, 0.08)):
        luma = averaged(np.rint(wave).astype(np.uint8), min_cells=min_cells)
        assert luma.cell == 70 // min_cells
        # of a wave times a wave, a quarter is left on average
        assert perceptual_hash(luma).contrast == pytest.approx(20, rel=loss)


def test_contrast_tells_whether_the_hash_means_anything():
    assert looks(np.full((40, 40, 3), 9, np.uint8)).contrast == pytest.approx(0, abs=1e-9)
    half = np.zeros((64, 64, 3), np.uint8)
    half[:32] = 200
    assert looks(half).contrast == pytest.approx(97.9, abs=0.5)  # without waves beyond the hash
    noise = np.random.default_rng(0).integers(0, 256, (640, 640), dtype=np.uint8)
    assert perceptual_hash(Luma(noise, 640, 640, 1)).contrast < 2


def test_crops_are_hashed_at_all_sides_at_one_and_at_two(picture):
    pixels = picture(3, width=100, height=50)
    hashes = looks_cropped(pixels, [0.1, 0.02])
    assert len(hashes) == 2 * HASHES_PER_CROP
    cuts = {  # of a tenth: 5 rows, 10 columns
        0: pixels[5:45, 10:90], 1: pixels[5:], 2: pixels[:45], 3: pixels[:, 10:],
        4: pixels[:, :90], 5: pixels[5:, 10:], 6: pixels[5:, :90], 7: pixels[:45, 10:],
        8: pixels[:45, :90],
    }  # fmt: skip
    for place, crop in cuts.items():
        expected = looks(crop)
        assert hashes[2 * place : 2 * place + 2] == [expected.perceptual, expected.mirrored]
    assert hashes[HASHES_PER_CROP] == looks(pixels[1:49, 2:98]).perceptual
    assert looks_cropped(pixels, []) == []
