"""Signatures: what survives which change."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from data_filters.dedup import signatures
from data_filters.dedup.signatures import (
    HASHES_PER_CROP,
    looks_cropped,
    perceptual_hash,
    pixel_hash,
)
from data_filters.io.pixels import decode, open_image


def sign(data):
    return signatures.sign(data, decode(open_image(data)))


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
    assert sign(data)[1:] == sign(again)[1:]
    assert sign(data).sha256 == hashlib.sha256(data).hexdigest()
    known = signatures.sign(data, decode(open_image(data)), sha256="known")
    assert known == sign(data)._replace(sha256="known")


@pytest.mark.parametrize("index", range(5))
def test_looks_survive_lossy_reencoding_and_resizing(jpeg, index):
    data = jpeg(index, width=120, height=90)
    assert sign(data).pixels != sign(changed(data, quality=60)).pixels
    assert distance(data, changed(data, quality=60)) <= 6
    assert distance(data, changed(data, scale=0.7, quality=90)) <= 6
    assert distance(data, changed(data, kind="WEBP", scale=1.5, quality=80)) <= 6


def test_different_pictures_are_far_apart(jpeg):
    hashes = [sign(jpeg(index)).perceptual for index in range(40)]
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 8
    assert np.mean(distances) == pytest.approx(32, abs=2)


def test_half_of_the_bits_are_set_and_brightness_sets_none(picture):
    dark = picture(1) // 4
    bright = dark + 100
    assert perceptual_hash(dark)[0].bit_count() == 32
    assert (perceptual_hash(dark)[0] ^ perceptual_hash(bright)[0]).bit_count() <= 2


@pytest.mark.parametrize("width", [64, 63, 97])
def test_the_mirrored_hash_is_that_of_the_mirror_image(picture, width):
    for index in range(10):
        pixels = picture(index, width=width)
        turned = perceptual_hash(pixels[:, ::-1])
        ours = perceptual_hash(pixels)
        # a width that 32 does not divide has thumbnails that round differently from the other side
        assert (ours.mirrored ^ turned.perceptual).bit_count() <= (0 if width == 64 else 4)
        assert (ours.perceptual ^ turned.mirrored).bit_count() <= (0 if width == 64 else 4)
        assert (ours.perceptual ^ ours.mirrored).bit_count() > 8


def test_contrast_tells_whether_the_hash_means_anything():
    assert perceptual_hash(np.full((40, 40, 3), 9, np.uint8)).contrast == 0
    half = np.zeros((64, 64, 3), np.uint8)
    half[:32] = 200
    assert perceptual_hash(half).contrast == pytest.approx(100)


def test_the_dct_is_the_textbook_sum():
    from data_filters.dedup.signatures import _COSINES

    signal = np.random.default_rng(0).normal(size=32)
    for k in (0, 1, 7):
        expected = sum(signal[n] * np.cos(np.pi / 32 * (n + 0.5) * k) for n in range(32))
        assert _COSINES[k] @ signal == pytest.approx(expected)


def test_shape_is_part_of_the_pixels():
    pixels = np.zeros((2, 6, 3), np.uint8)
    assert pixel_hash(pixels) != pixel_hash(pixels.reshape(6, 2, 3))


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
        looks = perceptual_hash(crop)
        assert hashes[2 * place : 2 * place + 2] == [looks.perceptual, looks.mirrored]
    assert hashes[HASHES_PER_CROP] == perceptual_hash(pixels[1:49, 2:98]).perceptual
    assert looks_cropped(pixels, []) == []
