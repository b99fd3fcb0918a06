"""Whole files."""

from data_filters.images.candidate import Candidate
from data_filters.images.decoding import DecodingFilter


def test_reasons(jpeg, encode, picture):
    judge = DecodingFilter()
    whole, png = jpeg(0), encode(picture(0), "PNG")
    assert judge(Candidate(whole)).kept
    assert judge(Candidate(whole[: len(whole) // 2])).reason == "truncated"
    spoilt = png[: len(png) // 2] + bytes(200) + png[len(png) // 2 + 200 :]
    assert judge(Candidate(spoilt)).reason == "undecodable"


def test_a_missing_end_marker_alone_is_not_a_missing_pixel(jpeg):
    assert jpeg(0).endswith(b"\xff\xd9")
    verdict = DecodingFilter()(Candidate(jpeg(0)[:-2]))
    assert verdict.reason in {None, "truncated"}
