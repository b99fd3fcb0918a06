"""Scorers in a chain: limits, captions, shared networks."""

import numpy as np
import pytest

from data_filters.images.scorer import Item, Limits, ScoreFilter, Scorer, judge_batch
from data_filters.models.network import Network


class Identity(Network):
    """Vectors are what was prepared; counts the images it was asked for."""

    def __init__(self):
        self.images = 0

    def prepare(self, pixels):
        return pixels

    def forward(self, batch):
        self.images += int((batch != 0).any(axis=1).sum())
        return batch


class Entry(Scorer):
    def __init__(self, network, index):
        super().__init__(network)
        self.index = index

    def score(self, embedded, captions):
        del captions
        return embedded[:, self.index]


class CaptionLength(Scorer):
    needs_captions = True

    def score(self, embedded, captions):
        del embedded
        return np.array([len(caption) for caption in captions], np.float32)


def items(network, rows, captions=None):
    return [
        Item(f"row{place}", (captions or {}).get(place, ""), {network: np.array(row, np.float32)})
        for place, row in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("score", "reason"),
    [(0.2, None), (0.8, None), (0.19, "score_too_low"), (0.81, "score_too_high")],
)
def test_both_ends_of_the_limits_pass(score, reason):
    verdict = Limits(0.2, 0.8).judge(score)
    assert (verdict.reason, verdict.detail) == (reason, None if reason is None else f"{score:.4f}")
    assert Limits(None, None).judge(score).kept


def objections(opinions):
    return [[(name, verdict.reason) for name, verdict in each.objections] for each in opinions]


def test_each_sees_every_image_and_a_shared_network_runs_once():
    network = Identity()
    chain = [
        ScoreFilter("first", Entry(network, 0), Limits(0.5, None)),
        ScoreFilter("second", Entry(network, 1), Limits(None, 0.5)),
    ]
    opinions = judge_batch(chain, items(network, [[1, 1], [0.1, 0.9], [0.9, 0.2]]), batch_size=2)
    low, high = ("first", "score_too_low"), ("second", "score_too_high")
    assert objections(opinions) == [[high], [low, high], []]
    for place, opinion in enumerate(opinions):
        assert [score[:2] for score in opinion.scores] == [
            (f"row{place}", "first"), (f"row{place}", "second"),
        ]  # fmt: skip
    assert network.images == 3


def test_an_image_without_a_caption_has_no_similarity_to_it():
    network = Identity()
    chain = [ScoreFilter("length", CaptionLength(network), Limits(3, None))]
    given = items(network, [[1.0], [1.0], [1.0]], {0: "long enough", 2: "x"})
    opinions = judge_batch(chain, given, batch_size=8)
    assert objections(opinions) == [
        [], [("length", "caption_missing")], [("length", "score_too_low")],
    ]  # fmt: skip
    assert [len(each.scores) for each in opinions] == [1, 0, 1]


def test_scores_are_those_of_the_images_asked_about():
    class Captioned(Entry):
        needs_captions = True

    network = Identity()
    given = items(network, [[1.0], [2.0], [3.0]], {1: "a", 2: "b"})
    chain = [ScoreFilter("entry", Captioned(network, 0), Limits(None, None))]
    opinions = judge_batch(chain, given, batch_size=8)
    assert [[score.score for score in each.scores] for each in opinions] == [[], [2.0], [3.0]]


def test_a_score_is_compared_as_it_is_written_down():
    network = Identity()
    chain = [ScoreFilter("entry", Entry(network, 0), Limits(0.7, 0.7))]
    rows = [[0.7], [0.70004], [0.69996], [0.7001]]  # in 32 bits, 0.7 is less than 0.7
    opinions = judge_batch(chain, items(network, rows), batch_size=4)
    assert objections(opinions) == [[], [], [], [("entry", "score_too_high")]]
    assert [each.scores[0].score for each in opinions] == [0.7, 0.7, 0.7, 0.7001]
