"""Thumbnails and sheets."""

import io

import numpy as np
import pytest
from PIL import Image

from franca.report import pictures


def encode(image, format_="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, format=format_)
    return buffer.getvalue()


def test_large_pictures_shrink_and_small_ones_stay():
    assert pictures.fit(Image.new("RGB", (400, 200)), side=100).size == (100, 50)
    assert pictures.fit(Image.new("RGB", (40, 20)), side=100).size == (40, 20)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    data = encode(Image.new(mode, (8, 8)), "TIFF")
    thumbnail = pictures.thumbnail(data, side=8)
    assert pictures.decode(thumbnail.data).mode == "RGB"
    assert thumbnail.media_type == "image/jpeg"


def test_what_is_no_image_is_an_os_error():
    with pytest.raises(OSError, match="cannot identify"):
        pictures.thumbnail(b"<html>not found</html>", side=8)


def test_drawings_keep_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(pictures.decode(pictures.drawing(pixels).data)), pixels)


def test_a_sheet_holds_rows_of_any_length():
    red = pictures.drawing(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    wide = pictures.drawing(np.full((4, 8, 3), (0, 0, 255), np.uint8))
    sheet = pictures.decode(pictures.sheet([[red, wide], [red]], side=16, pixelated=True))
    assert sheet.size == (2 * 22 + 6, 2 * 22 + 6)
    assert sheet.getpixel((8, 8)) == (255, 0, 0)
    assert sheet.getpixel((30, 10)) == (0, 0, 255)
    assert sheet.getpixel((30, 30)) == (255, 254, 251)
