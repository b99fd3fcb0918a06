"""Headers, before any pixel is decoded."""

import zlib

from PIL import Image

from data_filters.images.candidate import Candidate
from data_filters.images.header import HeaderFilter


def png_that_announces(width, height):
    """A PNG whose header is whole and whose pixels are not there at all."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def test_reasons(jpeg):
    judge = HeaderFilter(max_pixels=64 * 48)
    assert judge(Candidate(jpeg(0))).kept
    assert judge(Candidate(jpeg(0, width=65))) == ("too_many_pixels", "65x48")
    assert judge(Candidate(b"<html>")).reason == "not_an_image"
    assert dict(judge.dropped) == {"too_many_pixels": 1, "not_an_image": 1}


def test_a_bomb_is_refused_without_decoding_it(monkeypatch):
    def decode(_):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", decode)
    judge = HeaderFilter(max_pixels=10_000_000)
    assert judge(Candidate(png_that_announces(12_000, 12_000))).reason == "too_many_pixels"
    # far beyond what Pillow itself would open
    assert judge(Candidate(png_that_announces(60_000, 60_000))).reason == "too_many_pixels"
