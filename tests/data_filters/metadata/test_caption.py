"""Length of the caption."""

import pyarrow.parquet as pq
import pytest

from data_filters.metadata.caption import CaptionFilter


def caption(characters, words, missing="drop"):
    return CaptionFilter(min_characters=characters, min_words=words, missing=missing)


def test_datacomps_basic_filter(judge):
    texts = {
        "one two three": None,
        "a b cd": None,
        "é é é": ("caption", "caption_too_short"),  # characters, not bytes
        "one\x0btwo\x1cthree": None,
        "one\x85two\x1fthree": None,
        "a b c": ("caption", "caption_too_short"),
        "  a b c \n\t ": ("caption", "caption_too_short"),
        "photograph": ("caption", "caption_too_few_words"),
        "two words": ("caption", "caption_too_few_words"),
        "tab\tand\nnewline": None,
        "日本の 写真 です": None,
        "no\u00a0break\u3000spaces": None,
        "\u3000\u2003a b c\u00a0": ("caption", "caption_too_short"),
        "": ("caption", "caption_too_short"),
        None: ("caption", "caption_missing"),
    }
    verdicts = judge(caption(6, 3), [{"caption": text} for text in texts])
    assert verdicts == list(texts.values())


@pytest.mark.shared
def test_real_captions_are_counted_as_python_counts_them(shared_data, judge):
    table = pq.read_table(shared_data / "laion_sample" / "metadata.parquet", columns=["TEXT"])
    texts = table["TEXT"].to_pylist()
    verdicts = judge(caption(20, 5), [{"caption": text} for text in texts])

    def expected(text):
        if len(text.strip()) < 20:
            return ("caption", "caption_too_short")
        return ("caption", "caption_too_few_words") if len(text.split()) < 5 else None

    assert verdicts == [expected(text) for text in texts]
    assert 0.05 < sum(verdict is not None for verdict in verdicts) / len(texts) < 0.5
