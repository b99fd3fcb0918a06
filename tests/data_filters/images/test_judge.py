"""Pixels first, then models in batches; the order of the answers is that of the questions."""

import numpy as np
import pytest

from data_filters.images.decoding import DecodingFilter
from data_filters.images.header import HeaderFilter
from data_filters.images.judge import judge_images
from data_filters.images.scorer import Limits, ScoreFilter, Scorer
from data_filters.images.shape import ShapeFilter
from data_filters.io.pixels import decode, open_image, pixel_digest
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


def run(data, scorers, batch_size, min_side=None):
    filters = [HeaderFilter(max_pixels=10_000), DecodingFilter()]
    named = [(str(place), each) for place, each in enumerate(data)]
    filters.insert(1, ShapeFilter(min_side=min_side, max_aspect_ratio=None))
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
    kept = [pixel_digest(decode(open_image(data[place]))) for place in (1, 2, 4, 5)]
    assert [each.pixels for each in judged if each.pixels] == kept


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
        assert each.size == (48, 64)
    reasons = {each.verdict.reason for each in judged}
    assert reasons == {"not_an_image", "truncated", "score_too_high", None}


def test_models_judge_what_pixels_drop_too_and_the_first_to_object_has_the_word(data):
    model = ScoreFilter("level", First(MeanLevel()), Limits(None, 0.0))
    judged = run([*data, b"GIF89a"], [model], 3, min_side=49)
    whole = [each for each in judged if each.size]
    assert len(whole) == 4
    for each in whole:
        assert [name for name, _ in each.objections] == ["shape", "level"]
        assert (each.filter, each.verdict.reason) == ("shape", "side_too_short")


@pytest.mark.parametrize(("sides", "seen"), [((3, 96), (3, 96)), ((3, 400), (3, 96))])
@pytest.mark.parametrize("upright", [False, True])
def test_of_a_strip_models_see_the_middle(encode, sides, seen, upright):
    """A network scales the shorter side up to its own: of a whole strip it would make a river."""
    strip = np.zeros((*sides, 3), np.uint8)
    strip[:, sides[1] // 2 - 48 : sides[1] // 2 + 48] = 200
    shapes = []

    class Watched(MeanLevel):
        def prepare(self, pixels):
            shapes.append(pixels.shape[:2])
            return super().prepare(pixels)

    data = encode(np.ascontiguousarray(strip.transpose(1, 0, 2)) if upright else strip, "PNG")
    (judged,) = run([data], [ScoreFilter("level", First(Watched()), Limits(None, None))], 1)
    assert shapes == [seen[::-1] if upright else seen]
    assert judged.scores[0].score == 200


def test_scores_do_not_depend_on_batches_or_order(data):
    model = ScoreFilter("level", First(MeanLevel()), Limits(0.0, None))

    def scores(data, batch_size):
        judged = run(data, [model], batch_size)
        return {data[int(each.row_id)]: each.scores[0].score for each in judged if each.scores}

    assert scores(data, 1) == scores(data[::-1], 3) == scores(data, 64)
