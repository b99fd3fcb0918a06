"""The filters a section asks for."""

import random

import duckdb
import pytest

from data_filters.config import FilterMetadata, Thresholds
from data_filters.io.parquet import scan_sql
from data_filters.metadata.build import build_filters
from data_filters.metadata.judge import judged_sql, named_rules

URLS = (
    "https://a.org/1.jpg", "http://a.org:80/", "HTTP://A.org/", "https://a@/x", "http://a/b@c",
    "https://a.org", "https://[::1]/", "https:///x", "ftp://a.org/", "https://a?b/", "", " ", None,
)  # fmt: skip


def test_all_filters_are_there_in_order_even_when_switched_off():
    cfg = FilterMetadata(
        thresholds="franca_paper",
        allowed_schemes=("https",),
        denied_domains=(),
        denied_url_patterns=(),
        deny_lists=(),
        drop_repeated_urls=True,
        sample_fraction=1.0,
    )
    filters = build_filters(cfg, seed=0)
    assert [each.name for each in filters] == [
        "address", "url_pattern", "deny_lists", "status", "unsafe", "watermark", "size", "aspect",
        "similarity", "caption", "language", "sample",
    ]  # fmt: skip
    assert [each.name for each in filters if each.rules()] == ["address"]


@pytest.mark.parametrize("missing", ["keep", "drop"])
def test_what_is_surely_kept_breaks_no_rule(metadata_part, missing):
    """The quick conditions change nothing but the time, whatever is odd or missing."""
    thresholds = Thresholds(
        min_side=100,
        min_area=20_000,
        max_aspect_ratio=2.5,
        max_punsafe=0.1,
        max_pwatermark=0.8,
        min_similarity=0.3,
        min_caption_characters=None,
        min_caption_words=None,
        allowed_statuses=None,
        allowed_languages=None,
        missing=missing,
    )
    cfg = FilterMetadata(
        thresholds=thresholds,
        allowed_schemes=("http", "https"),
        denied_domains=(),
        denied_url_patterns=(),
        deny_lists=(),
        drop_repeated_urls=True,
        sample_fraction=1.0,
    )
    draw = random.Random(0)
    choices = {
        "url": URLS,
        "width": (None, 0, 99, 100, 250, 251),
        "height": (None, 0, 99, 100, 250, 251),
        "punsafe": (None, 0.0, 0.1, 0.2, float("nan")),
        "pwatermark": (None, 0.0, 0.8, 0.9),
        "similarity": (None, 0.29, 0.3, 0.4),
    }
    rows = [{name: draw.choice(values) for name, values in choices.items()} for _ in range(400)]
    rules = named_rules(build_filters(cfg, seed=0))
    slow = [rule._replace(surely_kept=None) for rule in rules]
    scan = f"SELECT * FROM {scan_sql([metadata_part(rows)])}"
    with duckdb.connect() as connection:
        masks = [
            connection.sql(f"SELECT row, broken FROM ({judged_sql(scan, each)}) ORDER BY row")
            for each in (rules, slow)
        ]
        quick, exact = (each.fetchall() for each in masks)
    assert quick == exact
    assert len({mask for _, mask in exact}) > 20
