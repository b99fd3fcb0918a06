"""Pixels first, then models in batches; the order of the answers is that of the questions."""

import numpy as np
import pytest

from data_filters.images.decoding import DecodingFilter
from data_filters.images.header import HeaderFilter
from data_filters.images.judge import judge_images
from data_filters.images.scorer import Limits, ScoreFilter, Scorer
from data_filters.models.network import Network


class MeanLevel(Network):
    def prepare(self, pixels):
        return np.float32([pixels.mean()])

    def forward(self, batch):
        return batch


class First(Scorer):
    def score(self, embedded, captions):
        del captions
        return embedded[:, 0]


def run(data, scorers, batch_size):
    filters = [HeaderFilter(max_pixels=10_000), DecodingFilter()]
    named = [(str(place), each) for place, each in enumerate(data)]
    return list(judge_images(named, filters, scorers, captions={}, batch_size=batch_size))


@pytest.fixture(scope="module")
def data(jpeg):
    whole = [jpeg(index) for index in range(5)]
    return [b"<html>", whole[0], whole[1], whole[2][: len(whole[2]) // 2], whole[3], whole[4], b""]


def test_without_models(data):
    judged = run(data, [], 2)
    assert [each.verdict.reason for each in judged] == [
        "not_an_image", None, None, "truncated", None, None, "not_an_image",
    ]  # fmt: skip
    assert [each.size for each in judged if each.verdict.kept] == [(48, 64)] * 4


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_models_see_whole_images_only_and_every_image_has_one_answer(data, batch_size):
    model = ScoreFilter("level", First(MeanLevel()), Limits(None, 125.0))
    judged = run(data, [model], batch_size)
    assert [each.row_id for each in judged] == [str(place) for place in range(len(data))]
    for each in judged:
        if each.filter in {"header", "decoding"}:
            assert each.scores == ()
            continue
        ((_, name, score),) = each.scores
        assert name == "level"
        assert each.verdict.reason == ("score_too_high" if score > 125 else None)
        assert (each.size is None) == (score > 125)
    reasons = {each.verdict.reason for each in judged}
    assert reasons == {"not_an_image", "truncated", "score_too_high", None}


def test_scores_do_not_depend_on_batches_or_order(data):
    model = ScoreFilter("level", First(MeanLevel()), Limits(0.0, None))

    def scores(data, batch_size):
        judged = run(data, [model], batch_size)
        return {data[int(each.row_id)]: each.scores[0].score for each in judged if each.scores}

    assert scores(data, 1) == scores(data[::-1], 3) == scores(data, 64)
