"""Language of the caption."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.metadata.language import LanguageFilter, languages

ENGLISH = "a black cat is sleeping on the old sofa in the living room"
TEXTS = {
    ENGLISH: "en",
    "eine schwarze Katze schläft auf dem alten Sofa im Wohnzimmer": "de",
    "un chat noir dort sur le vieux canapé du salon": "fr",
    "古いソファーの上で眠っている黒い猫の写真です": "ja",
    "line one of a longer English text\nand this is line two of it": "en",
}


def test_texts_are_identified_in_their_order():
    found = languages(pa.array([None, *TEXTS, " ", ""]))
    assert found.to_pylist() == [None, *TEXTS.values(), "und", "und"]
    assert languages(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize("missing", ["keep", "drop"])
def test_reasons(judge, missing):
    verdicts = judge(
        LanguageFilter(allowed=["en", "fr"], missing=missing),
        [{"caption": text} for text in [*TEXTS, "", None]],
    )
    other = ("language", "language_not_allowed")
    nothing = ("language", "caption_missing") if missing == "drop" else None
    assert verdicts == [None, other, None, other, None, other, nothing]


def test_switched_off_it_needs_neither_rule_nor_function():
    off = LanguageFilter(allowed=None, missing="drop")
    assert (off.rules(), off.functions()) == ((), ())


@pytest.mark.shared
def test_most_captions_of_laion_2b_en_are_english(shared_data):
    table = pq.read_table(shared_data / "laion_sample" / "metadata.parquet", columns=["TEXT"])
    found = languages(table["TEXT"].combine_chunks()[:2000]).to_pylist()
    assert 0.8 < found.count("en") / 2000 < 0.98
