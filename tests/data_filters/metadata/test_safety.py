"""Probabilities that the source states."""

from data_filters.metadata.safety import unsafe, watermark


def test_the_limit_itself_is_dropped(judge):
    rows = [{"punsafe": 0.1}, {"punsafe": 0.0999}, {"punsafe": None}]
    assert judge(unsafe(limit=0.1, missing="drop"), rows) == [
        ("unsafe", "probably_unsafe"), None, ("unsafe", "punsafe_missing"),
    ]  # fmt: skip
    assert judge(unsafe(limit=None, missing="drop"), rows) == [None] * 3


def test_watermarks_have_their_own_column_and_reason(judge):
    rows = [{"pwatermark": 0.8, "punsafe": 0.0}, {"pwatermark": 0.79, "punsafe": 1.0}]
    assert judge(watermark(limit=0.8, missing="keep"), rows) == [
        ("watermark", "probably_watermarked"), None,
    ]  # fmt: skip


def test_the_limit_is_rounded_as_the_column_is(judge):
    """0.7 as FLOAT is below 0.7 as DOUBLE."""
    assert judge(unsafe(limit=0.7, missing="keep"), [{"punsafe": 0.7}]) == [
        ("unsafe", "probably_unsafe")
    ]
