"""Decoding: every format to upright RGB, and no image for bytes that hold none."""

import io

import numpy as np
import pytest
from PIL import Image

from franca.data import decode
from franca.data.decode import UndecodableImageError, decode_rgb


def photo(height=40, width=56, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}]
)
def test_jpeg_is_pillows_jpeg_to_the_pixel(options):
    data = encode(photo(), "JPEG", **options)
    assert np.array_equal(decode_rgb(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_lossless_formats_return_what_was_stored(kind):
    image = photo().quantize(32).convert("RGB")
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_rgb(encode(image, kind, **options)), np.asarray(image))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored rows are the columns of the scene
    data = encode(photo(40, 56), kind, exif=exif)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode_rgb(data), np.rot90(stored, -1))


def test_grey_palette_and_cmyk_become_rgb():
    grey = photo().convert("L")
    expected = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    assert np.array_equal(decode_rgb(encode(grey, "PNG")), expected)
    assert np.ptp(decode_rgb(encode(grey, "JPEG")), axis=2).max() == 0
    palette = photo().quantize(16)
    assert np.array_equal(decode_rgb(encode(palette, "PNG")), np.asarray(palette.convert("RGB")))
    cmyk = decode_rgb(encode(photo().convert("CMYK"), "JPEG", quality=100))
    assert np.abs(cmyk.astype(int) - np.asarray(photo())).mean() < 3


def test_transparency_is_laid_over_white():
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    alpha = np.asarray(image)[..., 3:] / 255
    expected = np.asarray(image)[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(decode_rgb(encode(image, "PNG")) - expected).max() <= 1
    palette = photo().quantize(4)
    data = encode(palette, "PNG", transparency=0)
    assert (decode_rgb(data)[np.asarray(palette) == 0] == 255).all()


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    decoded = decode_rgb(encode(Image.fromarray(values), "PNG"))
    assert np.array_equal(decoded[..., 0], np.round(values / 257))


def test_pixels_of_unknown_range_are_refused():
    data = encode(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF")
    with pytest.raises(UndecodableImageError, match="mode F have no known range"):
        decode_rgb(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_truncated_file_is_refused(kind, kept):
    data = encode(photo(160, 200), kind)
    with pytest.raises(UndecodableImageError):
        decode_rgb(data[: int(len(data) * kept)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "not an image"), (b"<html>404</html>", "not an image"), (b"\xff\xd8\xff\xd9", "image")],
)
def test_bytes_that_are_no_image_are_refused(data, reason):
    with pytest.raises(UndecodableImageError, match=reason):
        decode_rgb(data)


def test_padding_after_the_end_is_harmless():
    data = encode(photo(), "JPEG")
    assert np.array_equal(decode_rgb(data + b"\0" * 7), decode_rgb(data))
    assert np.array_equal(decode_rgb(data + b"trailer"), decode_rgb(data))


def test_a_huge_image_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 1000)
    for kind in ("JPEG", "PNG"):
        with pytest.raises(UndecodableImageError, match="56 x 40 pixels"):
            decode_rgb(encode(photo(), kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_flipped_bytes_give_an_image_or_the_one_error(kind):
    """Whatever the damage, nothing but UndecodableImageError may escape into the loader."""
    data = encode(photo(), kind)
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            damaged[at] = rng.integers(256)
        try:
            image = decode_rgb(bytes(damaged))
        except UndecodableImageError:
            continue
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
