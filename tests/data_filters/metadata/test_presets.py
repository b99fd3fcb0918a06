"""Published recipes."""

from typing import get_args

import pytest

from data_filters.config import FilterMetadata, PresetName
from data_filters.metadata.build import build_filters
from data_filters.metadata.presets import PRESETS, resolve

ROWS = [
    {},
    {"width": 199},
    {"width": 200, "height": 255},
    {"caption": "two words"},
    {"punsafe": 0.3},
    {"punsafe": 0.5},
    {"pwatermark": 0.8},
    {"width": 1921},
    {"width": None},
]
REASONS = {
    "franca_paper": [None] * 9,
    "relaion_600m": [
        None, "side_too_short", "side_too_short", None, "probably_unsafe", "probably_unsafe",
        "probably_watermarked", "too_elongated", "size_missing",
    ],
    "datacomp_basic": [
        None, "side_too_short", None, "caption_too_few_words", None, None, None, "too_elongated",
        "size_missing",
    ],
    "laion_aesthetic": [
        None, None, None, None, None, "probably_unsafe", "probably_watermarked", None, None,
    ],
}  # fmt: skip


def test_every_name_has_a_recipe():
    assert set(PRESETS) == set(get_args(PresetName)) == set(REASONS)


@pytest.mark.parametrize("name", REASONS)
def test_what_a_recipe_drops_and_why(judge, name):
    cfg = FilterMetadata(
        thresholds=name,
        allowed_schemes=("https",),
        denied_domains=(),
        denied_url_patterns=(),
        deny_lists=(),
        drop_repeated_urls=False,
        sample_fraction=1.0,
    )
    verdicts = judge(build_filters(cfg, seed=0), ROWS)
    assert [verdict and verdict[1] for verdict in verdicts] == REASONS[name]


def test_numbers_stand_for_themselves():
    numbers = PRESETS["relaion_600m"].model_copy(update={"min_side": 7})
    assert resolve(numbers) is numbers
    assert resolve("relaion_600m") is PRESETS["relaion_600m"]
