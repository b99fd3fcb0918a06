"""Decoding: upright, whole, and refused with a word."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from data_filters.io.pixels import (
    UnreadableImageError,
    decode,
    grey,
    is_turned,
    open_image,
    pixel_digest,
    sniff,
    upright_size,
)


@pytest.mark.parametrize(
    ("kind", "name"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif")]
)
def test_formats_are_told_by_content(picture, encode, kind, name):
    assert sniff(encode(picture(0), kind)) == name


@pytest.mark.parametrize("data", [b"", b"<html></html>", b"RIFF1234WAVE", b"\xff\xd8"])
def test_other_bytes_are_no_image(data):
    assert sniff(data) is None
    with pytest.raises(UnreadableImageError) as caught:
        open_image(data)
    assert caught.value.reason == "not_an_image"


def test_exif_rotation_is_applied(picture, encode):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    pixels = picture(0, width=60, height=40)
    image = open_image(encode(pixels, "PNG", exif=exif))
    assert upright_size(image) == (40, 60)
    assert np.array_equal(decode(image), np.rot90(pixels, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_turned_as_pillow_turns_it(picture, encode, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture(0, width=60, height=40), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    opened = open_image(data)
    assert upright_size(opened) == (expected.shape[1], expected.shape[0])
    assert is_turned(opened) == (orientation > 1)
    assert np.array_equal(decode(opened), expected)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("block", [b"XX\x00broken", b"II*\x00\x08\x00\x00\x00\x05\x00cut"])
def test_a_broken_exif_block_is_neither_a_reason_to_drop_an_image_nor_worth_a_warning(
    picture, encode, kind, block
):
    image = open_image(encode(picture(0), kind, exif=b"Exif\x00\x00" + block))
    assert (upright_size(image), is_turned(image)) == ((64, 48), False)
    assert decode(image).shape == (48, 64, 3)


def test_transparency_is_laid_on_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 1), (10, 20, 30, 0)).save(buffer, "PNG")
    assert decode(open_image(buffer.getvalue())).tolist() == [[[255] * 3, [255] * 3]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_refused_and_never_filled(picture, encode, kind, share):
    data = encode(picture(0, width=200, height=200), kind)
    with pytest.raises(UnreadableImageError) as caught:
        decode(open_image(data[: int(share * len(data))]))
    assert caught.value.reason in {"truncated", "undecodable", "not_an_image"}
    if kind == "JPEG":
        assert caught.value.reason == "truncated"


def test_grey_is_luma():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert grey(pixels) == pytest.approx(np.array([[76.245, 149.685, 29.07, 255.0]]), abs=1e-3)


def test_pillows_own_bomb_limit_is_a_verdict(monkeypatch, jpeg):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError) as caught:
        open_image(jpeg(0))
    assert caught.value.reason == "too_many_pixels"


def test_grey_of_sixteen_bits_is_scaled_rather_than_cut_off():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    buffer = io.BytesIO()
    Image.fromarray(ramp * 257).save(buffer, "PNG")
    pixels = decode(open_image(buffer.getvalue()))
    assert (pixels == ramp[:, :, None].astype(np.uint8)).all()


def test_pixels_without_a_known_range_are_not_guessed_at():
    with pytest.raises(UnreadableImageError, match="undecodable"):
        decode(Image.new("F", (4, 4)))


def test_a_digest_of_pixels_knows_their_shape_and_nothing_of_the_file(jpeg):
    pixels = np.zeros((2, 6, 3), np.uint8)
    assert pixel_digest(pixels) != pixel_digest(pixels.reshape(6, 2, 3))
    whole = decode(open_image(jpeg(0)))
    assert pixel_digest(whole) == pixel_digest(np.asfortranarray(whole))
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, "PNG")
    assert pixel_digest(whole) == pixel_digest(decode(open_image(buffer.getvalue())))
    changed = whole.copy()
    changed[-1, -1, -1] ^= 1
    assert pixel_digest(whole) != pixel_digest(changed)
