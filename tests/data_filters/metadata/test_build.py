"""The filters a section asks for."""

from data_filters.config import FilterMetadata
from data_filters.metadata.build import build_filters


def test_all_filters_are_there_in_order_even_when_switched_off():
    cfg = FilterMetadata(
        thresholds="franca_paper",
        allowed_schemes=("https",),
        denied_domains=(),
        deny_lists=(),
        drop_repeated_urls=True,
        sample_fraction=1.0,
    )
    filters = build_filters(cfg, seed=0)
    assert [each.name for each in filters] == [
        "address", "deny_lists", "status", "unsafe", "watermark", "size", "aspect", "similarity",
        "caption", "language", "sample",
    ]  # fmt: skip
    assert [each.name for each in filters if each.rules()] == ["address"]
