"""Luma over cells: the same whichever way a file has to be read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from data_filters.io import luma as module
from data_filters.io.luma import averaged, grey_levels, read_luma
from data_filters.io.pixels import UnreadableImageError, decode, open_image

SIZES = [(40, 30), (64, 64), (131, 70), (300, 200), (259, 401)]


def through_all_pixels(data):
    return averaged(grey_levels(decode(open_image(data))), min_cells=32)


def assert_close(found, expected, *, levels):
    assert found[1:] == expected[1:]
    assert found.levels.shape == expected.levels.shape
    difference = np.abs(found.levels.astype(int) - expected.levels.astype(int))
    assert difference.mean() <= levels


@pytest.fixture
def by_pillow(monkeypatch):
    """Names what was decoded to the last pixel."""
    seen = []
    monkeypatch.setattr(module, "decode", lambda image: seen.append(image.format) or decode(image))
    return seen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "how", [{}, {"subsampling": 0}, {"progressive": True}, {"quality": 50}], ids=str
)
def test_a_jpeg_gives_the_means_of_its_pixels(picture, encode, by_pillow, size, how):
    data = encode(picture(1, width=size[0], height=size[1]), **how)
    found = read_luma(data, min_cells=32)
    assert by_pillow == []
    assert_close(found, through_all_pixels(data), levels=1)
    assert found.levels.shape == (-(-size[1] // found.cell), -(-size[0] // found.cell))
    assert found.cell == {30: 1, 64: 2, 70: 2, 200: 4, 259: 8}[min(size)]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_other_formats_are_averaged(picture, encode, by_pillow, kind):
    data = encode(picture(1, width=300, height=200), kind)
    assert_close(read_luma(data, min_cells=32), through_all_pixels(data), levels=0)
    assert by_pillow == [kind]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_upright(picture, encode, by_pillow, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture(2, width=301, height=200), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    expected = averaged(grey_levels(upright), min_cells=32)
    assert_close(read_luma(data, min_cells=32), expected, levels=1)
    assert bool(by_pillow) == (orientation > 1)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_every_way_to_store_colours(picture, mode):
    image = Image.fromarray(picture(3, width=300, height=200)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, **({"keep_rgb": True} if mode == "RGB" else {}))
    found = read_luma(buffer.getvalue(), min_cells=32)
    assert_close(found, through_all_pixels(buffer.getvalue()), levels=1)


def test_grey_of_sixteen_bits_is_scaled(picture):
    levels = np.asarray(Image.fromarray(picture(4)).convert("L"))
    buffer = io.BytesIO()
    Image.fromarray(levels.astype(np.uint16) * 257).save(buffer, "PNG")
    assert np.array_equal(read_luma(buffer.getvalue(), min_cells=32).levels, levels)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_refused_and_never_filled(picture, encode, share, progressive):
    data = encode(picture(0, width=400, height=300), progressive=progressive)
    with pytest.raises(UnreadableImageError):
        read_luma(data[: int(share * len(data))], min_cells=32)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"<html>"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(UnreadableImageError):
        read_luma(data, min_cells=32)


def test_a_flaw_that_pillow_lives_with_is_none(picture, encode, by_pillow):
    """Bytes that mean nothing before a marker: libjpeg warns, and goes on."""
    data = encode(picture(0, width=300, height=200))
    scan = data.index(b"\xff\xda")
    flawed = data[:scan] + b"\x00\x00" + data[scan:]
    assert_close(read_luma(flawed, min_cells=32), through_all_pixels(data), levels=0)
    assert by_pillow == ["JPEG"]
