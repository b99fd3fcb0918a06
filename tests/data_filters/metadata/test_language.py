"""Language of the caption."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.base import SqlFunction
from data_filters.io.parquet import scan_sql
from data_filters.metadata.judge import declare_functions, judged_sql, named_rules
from data_filters.metadata.language import FUNCTION, LanguageFilter, languages

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


def test_what_the_source_states_goes_before_what_the_caption_looks_like(judge):
    """And the caption is not even looked at: the only slow rule of the pass is spared."""
    rows = [
        {"language": "EN", "caption": "eine schwarze Katze schläft auf dem alten Sofa"},
        {"language": "de", "caption": ENGLISH},
        {"language": " ", "caption": ENGLISH},
        {"language": None, "caption": "eine schwarze Katze schläft auf dem alten Sofa"},
        {"language": "en", "caption": None},
    ]
    assert judge(LanguageFilter(allowed=["En"], missing="drop"), rows) == [
        None, ("language", "stated_language_not_allowed"), None,
        ("language", "language_not_allowed"), None,
    ]  # fmt: skip


def test_captions_whose_language_is_stated_are_not_identified(metadata_part):
    rows = [{"caption": f"{i}", "language": "en" if i % 3 else None} for i in range(300)]
    seen = []

    def spy(texts):
        seen.extend(texts.to_pylist())
        return languages(texts)

    filtered = LanguageFilter(allowed=["en"], missing="keep")
    filtered.functions = lambda: (SqlFunction(FUNCTION, spy),)
    with duckdb.connect() as connection:
        declare_functions(connection, [filtered])
        scan = f"SELECT * FROM {scan_sql([metadata_part(rows)])}"
        connection.sql(judged_sql(scan, named_rules([filtered]))).fetchall()
    assert sorted(map(int, seen)) == list(range(0, 300, 3))


def test_switched_off_it_needs_neither_rule_nor_function():
    off = LanguageFilter(allowed=None, missing="drop")
    assert (off.rules(), off.functions()) == ((), ())


@pytest.mark.shared
def test_most_captions_of_laion_2b_en_are_english(shared_data):
    table = pq.read_table(shared_data / "laion_sample" / "metadata.parquet", columns=["TEXT"])
    found = languages(table["TEXT"].combine_chunks()[:2000]).to_pylist()
    assert 0.8 < found.count("en") / 2000 < 0.98
