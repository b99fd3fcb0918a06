"""Sides, upright."""

from PIL import Image

from data_filters.images.candidate import Candidate
from data_filters.images.shape import ShapeFilter


def test_reasons(jpeg):
    judge = ShapeFilter(min_side=48, max_aspect_ratio=2.0)
    sizes = {(64, 48): None, (47, 64): "side_too_short", (97, 48): "too_elongated", (96, 48): None}
    for (width, height), reason in sizes.items():
        assert judge(Candidate(jpeg(0, width=width, height=height))).reason == reason
    anything = ShapeFilter(min_side=None, max_aspect_ratio=None)
    assert anything(Candidate(jpeg(0, width=1, height=500))).kept


def test_the_size_is_that_after_exif_rotation(picture, encode):
    exif = Image.Exif()
    exif[0x0112] = 8
    candidate = Candidate(encode(picture(0, width=60, height=20), exif=exif))
    assert candidate.size == (20, 60)
    assert candidate.pixels.shape == (60, 20, 3)
