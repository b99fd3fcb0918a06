"""NeCo's linear segmentation: what is chosen, on which masks, and how its rate falls."""

import numpy as np
import pytest
import torch

from franca.eval.linseg_neco100 import BENCHMARK, linseg_neco100
from franca.eval.truth.dense import pixel_classes
from tests.franca.eval.pictures import blocks, constant, picture_inputs, void

SETTINGS = {
    "side": 32,
    "mask_side": 20,
    "scale": (0.8, 1.0),
    "epochs": 5,
    "drop_epoch": 4,
    "drop_factor": 0.1,
    "batch_size": 4,
    "learning_rate": 0.5,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "validate_every": 10,
}


def run(inputs, **changes):
    return linseg_neco100(inputs, seed=0, device=torch.device("cpu"), **(SETTINGS | changes))


def scores(outcome):
    metrics = BENCHMARK.measure(outcome.evidence, dataset="toy", resamples=20, seed=0)
    return {metric.metric: metric.value for metric in metrics}


@pytest.fixture(scope="module")
def world():
    return blocks(24, seed=0), blocks(7, seed=1)


def test_colours_that_name_the_class_are_read(world):
    outcome = run(picture_inputs(*world))
    assert outcome.evidence["confusion"].shape == (7, 3, 3)
    assert outcome.evidence["confusion"].sum() == 7 * 20 * 20
    assert scores(outcome)["miou"] > 0.85
    assert outcome.details["steps"] == 5 * 6


def test_ground_truth_is_the_bound_and_constants_are_chance(world):
    bound = scores(run(pixel_classes(picture_inputs(*world))))
    assert bound["miou"] > 0.85
    blind = run(picture_inputs(*world, encode=constant)).evidence["confusion"].sum((0, 1))
    assert np.count_nonzero(blind) == 1


def test_the_best_of_the_scores_counts_and_only_whole_batches_choose(world):
    outcome = run(picture_inputs(*world), validate_every=4, epochs=2)
    assert outcome.details["chosen_step"] in {4, 8, 12}
    found = scores(outcome)
    assert found["miou"] != found["miou@last"] or outcome.details["chosen_step"] == 12
    # with one image that no whole batch holds changed, the same step is chosen
    changed = [*world[1][:4], *void(world[1][4:], slice(0, 8))]
    again = run(picture_inputs(world[0], changed), validate_every=4, epochs=2)
    assert again.details == outcome.details


def test_without_a_score_on_the_way_the_last_head_counts(world):
    outcome = run(picture_inputs(*world), validate_every=1000, epochs=1)
    assert outcome.details == {"steps": 6, "chosen_step": 6}
    np.testing.assert_array_equal(outcome.evidence["confusion"], outcome.evidence["confusion@last"])


def test_a_rate_that_drops_to_nothing_freezes_the_head(world):
    early = run(picture_inputs(*world), epochs=2, validate_every=1000)
    inputs = picture_inputs(*world)
    late = run(inputs, epochs=4, drop_epoch=2, drop_factor=1e-12, momentum=0.0, validate_every=1000)
    plain = run(inputs, epochs=2, momentum=0.0, validate_every=1000)
    np.testing.assert_array_equal(late.evidence["confusion"], plain.evidence["confusion"])
    assert early.details["steps"] == 12


def test_void_pixels_play_no_part_and_fewer_images_than_a_batch_are_one(world):
    train, test = void(world[0], slice(0, 8))[:3], void(world[1], slice(0, 8))
    outcome = run(picture_inputs(train, test))
    assert outcome.evidence["confusion"].sum() == 7 * 20 * 20 / 2
    assert outcome.details["steps"] == 5


def test_an_absent_class_counts_nothing_towards_the_mean_over_all():
    pair = [blocks(24, seed=0, classes=2), blocks(7, seed=1, classes=2)]
    two = scores(run(picture_inputs(*pair, num_classes=2)))
    three = scores(run(picture_inputs(*pair, num_classes=3)))
    assert three["miou"] == pytest.approx(two["miou"] * 2 / 3, abs=0.03)


def test_same_seed_same_bits(world):
    first, second = (run(picture_inputs(*world), epochs=1).evidence["confusion"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
