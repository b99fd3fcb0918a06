"""The ratio of the sides."""

from data_filters.metadata.aspect import AspectFilter


def test_reasons(judge):
    rows = [
        {"width": 300, "height": 100},
        {"width": 100, "height": 300},
        {"width": 301, "height": 100},
        {"width": 100, "height": 301},
        {"width": 0, "height": 100},
        {"width": None},
    ]
    long = ("aspect", "too_elongated")
    assert judge(AspectFilter(max_ratio=3.0, missing="drop"), rows) == [
        None, None, long, long, long, ("aspect", "size_missing"),
    ]  # fmt: skip
    assert judge(AspectFilter(max_ratio=None, missing="drop"), rows) == [None] * 6


def test_a_ratio_may_be_a_fraction(judge):
    rows = [{"width": 250, "height": 100}, {"width": 251, "height": 100}]
    assert judge(AspectFilter(max_ratio=2.5, missing="drop"), rows) == [
        None, ("aspect", "too_elongated"),
    ]  # fmt: skip
