"""The shrinker against img2dataset's own resizer: the same bytes."""

import importlib
import io
import warnings

import cv2
import numpy as np
import pytest

from data_filters.config import Resize
from data_filters.download.shrink import Shrinker

KINDS = ("colour.jpg", "grey.jpg", "colour.png", "alpha.png", "sixteen.png", "colour.webp")
SIDES = ((64, 96), (97, 33), (32, 32), (20, 90), (31, 12))


@pytest.fixture(scope="module")
def resizer():
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # imghdr
        patch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")  # it phones home otherwise
        return importlib.import_module("img2dataset.resizer").Resizer


def encode(kind, *, height, width):
    rng = np.random.default_rng(height * width)
    name, extension = kind.split(".")
    channels = {"grey": (), "alpha": (4,)}.get(name, (3,))
    pixels = rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)
    pixels = cv2.GaussianBlur(pixels, (5, 5), 2)
    if name == "sixteen":
        pixels = pixels.astype(np.uint16) * 257
    return cv2.imencode(f".{extension}", pixels)[1].tobytes()


@pytest.mark.parametrize("mode", ["keep_ratio", "keep_ratio_largest", "center_crop"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_of_img2dataset(resizer, mode, kind):
    theirs = resizer(32, mode, True, encode_quality=95, encode_format="jpg", skip_reencode=True)
    ours = Shrinker(Resize(mode=mode, size=32, quality=95))
    for height, width in SIDES:
        data = encode(kind, height=height, width=width)
        assert ours(io.BytesIO(data), None) == theirs(io.BytesIO(data), None)


def test_a_jpeg_that_is_small_enough_keeps_its_bytes_whatever_its_first_marker():
    data = encode("colour.jpg", height=20, width=20)
    assert data[2:4] == b"\xff\xe0"
    bare = data[:2] + data[20:]  # without the JFIF header, which img2dataset looks for
    ours = Shrinker(Resize(mode="keep_ratio", size=32, quality=50))
    for each in (data, bare):
        assert ours(io.BytesIO(each)) == (each, 20, 20, 20, 20, None)
    png = encode("colour.png", height=20, width=20)
    assert ours(io.BytesIO(png))[0].startswith(b"\xff\xd8\xff")


def test_what_is_no_image_is_an_error_and_no_bytes():
    ours = Shrinker(Resize(mode="keep_ratio", size=32, quality=95))
    for data in (b"<html>", b"\xff\xd8\xff\xe0 and no more"):
        assert ours(io.BytesIO(data)) == (None, None, None, None, None, "Image decoding error")
    assert ours(io.BytesIO(b""))[5] is not None


def test_nothing_is_decoded_where_nothing_is_shrunk():
    assert Shrinker(None)(io.BytesIO(b"<html>")) == (b"<html>", None, None, None, None, None)
