"""The size that the source states."""

import pytest

from data_filters.metadata.size import SizeFilter


def test_reasons(judge):
    rows = [
        {"width": 200, "height": 200},
        {"width": 199, "height": 4000},
        {"width": 4000, "height": 199},
        {"width": 200, "height": 249},
        {"width": 2**31 - 1, "height": 2**31 - 1},
        {"width": 2**31 - 1, "height": 100},
    ]
    filter_ = SizeFilter(min_side=200, min_area=45_000, missing="drop")
    assert judge(filter_, rows) == [
        ("size", "area_too_small"),
        ("size", "side_too_short"),
        ("size", "side_too_short"),
        None,
        None,
        ("size", "side_too_short"),
    ]


@pytest.mark.parametrize(
    ("missing", "verdict"), [("drop", ("size", "size_missing")), ("keep", None)]
)
def test_a_missing_size_is_dropped_or_kept_as_asked(judge, missing, verdict):
    rows = [{"width": None}, {"height": None}]
    filter_ = SizeFilter(min_side=1, min_area=None, missing=missing)
    assert judge(filter_, rows) == [verdict, verdict]


def test_without_a_threshold_nothing_is_missing(judge):
    assert judge(SizeFilter(min_side=None, min_area=None, missing="drop"), [{"width": None}]) == [
        None
    ]
