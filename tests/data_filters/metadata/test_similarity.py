"""Agreement of caption and image."""

from data_filters.metadata.similarity import SimilarityFilter


def test_reasons(judge):
    rows = [{"similarity": 0.28}, {"similarity": 0.2799}, {"similarity": None}]
    assert judge(SimilarityFilter(minimum=0.28, missing="drop"), rows) == [
        None, ("similarity", "caption_unrelated"), ("similarity", "similarity_missing"),
    ]  # fmt: skip
    assert judge(SimilarityFilter(minimum=0.28, missing="keep"), rows)[2] is None


def test_a_limit_of_zero_is_a_limit(judge):
    rows = [{"similarity": -0.1}, {"similarity": 0.0}]
    assert judge(SimilarityFilter(minimum=0.0, missing="keep"), rows) == [
        ("similarity", "caption_unrelated"), None,
    ]  # fmt: skip
