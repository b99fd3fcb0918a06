"""Revisited Oxford and Paris: average precision without junk, exact to the official code."""

import numpy as np
import pytest
import torch

from franca.eval.inputs.contracts import Relevant, RetrievalInputs
from franca.eval.retrieval import (
    average_precision,
    level_of,
    precision_within,
    ranks_of_positives,
    retrieval,
    score_rankings,
)
from franca.eval.truth.images import retrieved_queries

CPU = torch.device("cpu")


def test_matches_the_official_code(oracle):
    arrays = oracle("retrieval")
    queries = arrays["in/main/ranks"].shape[1]

    def rows(name):
        index, query = arrays[f"in/main/{name}_index"], arrays[f"in/main/{name}_query"]
        return [index[query == number].tolist() for number in range(queries)]

    truth = list(zip(rows("ok"), rows("junk"), strict=True))
    found = score_rankings(arrays["in/main/ranks"].T, truth, precisions=[1, 5, 10])
    scores = found["average_precision"]
    np.testing.assert_allclose(scores, arrays["out/main/average_precision"], atol=1e-9)
    assert np.nanmean(scores) == pytest.approx(float(arrays["out/main/map"]), abs=1e-9)
    at = np.stack([found[f"precision@{best}"] for best in (1, 5, 10)], axis=1)
    np.testing.assert_allclose(at, arrays["out/main/precision_at"], atol=1e-9)
    expected = arrays["out/main/mean_precision_at"]
    np.testing.assert_allclose(np.nanmean(at, axis=0), expected, atol=1e-9)


def test_levels_say_what_counts_and_what_is_left_out():
    relevant = Relevant(easy=[1], hard=[2], junk=[3])
    assert level_of(relevant, "easy") == ([1], [2, 3])
    assert level_of(relevant, "medium") == ([1, 2], [3])
    assert level_of(relevant, "hard") == ([2], [1, 3])


def test_junk_moves_nothing_down():
    ranking = np.array([5, 3, 9, 1, 4])
    assert ranks_of_positives(ranking, [1, 3], [5, 9]).tolist() == [0, 1]
    assert ranks_of_positives(ranking, [1, 3], []).tolist() == [1, 3]


def test_trapezoids_and_precision_by_hand():
    assert average_precision(np.array([0, 1]), positives=2) == 1.0
    # (0/1 + 1/2) / 2 and (1/3 + 2/4) / 2, each half of the recall
    assert average_precision(np.array([1, 3]), positives=2) == pytest.approx((0.25 + 5 / 12) / 2)
    assert precision_within(np.array([1, 3]), best=10) == 0.5  # up to the last positive
    assert precision_within(np.array([1, 3]), best=2) == 0.5
    assert precision_within(np.array([1, 3]), best=1) == 0.0


def inputs_of(relevant, images=6, queries=3):
    source = torch.Generator().manual_seed(0)
    return RetrievalInputs(
        queries=torch.randn(queries, 4, generator=source),
        database=torch.randn(images, 4, generator=source),
        relevant=relevant,
    )


def test_perfect_descriptors_reach_one_at_every_level():
    inputs = inputs_of([Relevant([0], [1], [2]), Relevant([1], [], []), Relevant([], [3, 4], [])])
    found = retrieval(retrieved_queries(inputs), seed=0, device=CPU, precisions=[1], block=4)
    for level, scored in (("easy", 2), ("medium", 3), ("hard", 2)):
        values = found.evidence[f"average_precision@{level}"]
        assert np.sum(~np.isnan(values)) == scored
        assert np.nanmin(values) == 1.0
        assert np.nanmin(found.evidence[f"precision@{level}_1"]) == 1.0
    random = retrieval(inputs, seed=0, device=CPU, precisions=[1], block=4)
    assert np.nanmean(random.evidence["average_precision@medium"]) < 1.0


def test_levels_without_positives_are_not_reported():
    found = retrieval(
        inputs_of([Relevant([0], [], [])], queries=1), seed=0, device=CPU, precisions=[1], block=4
    )
    assert set(found.evidence) == {
        "average_precision@easy",
        "average_precision@medium",
        "precision@easy_1",
        "precision@medium_1",
    }
    nothing = inputs_of([Relevant([], [], [0])], queries=1)
    with pytest.raises(ValueError, match="no query of the retrieval set has a positive"):
        retrieval(nothing, seed=0, device=CPU, precisions=[1], block=4)
