"""mmsegmentation's linear segmentation: schedule, windows, views, scores."""

import numpy as np
import pytest
import torch
from torch import nn

from franca.eval.crops import view
from franca.eval.linseg_mmseg518 import (
    BENCHMARK,
    linseg_mmseg518,
    poly_rates,
    segment,
    slide,
    training_view,
    window_starts,
)
from franca.eval.truth.dense import pixel_classes
from tests.franca.eval.pictures import blocks, constant, mean_colours, picture_inputs, void

SETTINGS = {
    "long_side": 128,
    "short_side": 32,
    "ratios": (0.5, 2.0),
    "crop": 32,
    "largest_share": 0.75,
    "steps": 60,
    "max_epochs": 50,
    "batch_size": 4,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "warmup_steps": 5,
    "warmup_ratio": 1e-6,
    "stride": 16,
    "scales": (1.0,),
    "flip": False,
}
TEST = {"long_side": 128, "short_side": 32, "crop": 32, "stride": 16}


def run(inputs, **changes):
    return linseg_mmseg518(inputs, seed=0, device=torch.device("cpu"), **(SETTINGS | changes))


def scores(outcome):
    metrics = BENCHMARK.measure(outcome.evidence, dataset="toy", resamples=20, seed=0)
    return {metric.metric: metric.value for metric in metrics}


@pytest.fixture(scope="module")
def world():
    return blocks(24, seed=0), blocks(7, seed=1)


def test_rates_warm_up_and_fall_to_nothing():
    rates = poly_rates(100, learning_rate=2.0, warmup_steps=10, warmup_ratio=0.01)
    assert rates[0] == pytest.approx(2.0 * 0.01)
    assert rates[5] == pytest.approx(2.0 * 0.95 * (1 - 0.5 * 0.99))
    assert rates[10:] == pytest.approx([2.0 * (1 - t / 100) for t in range(10, 100)])
    assert poly_rates(3, learning_rate=1.0, warmup_steps=0, warmup_ratio=1.0)[0] == 1.0


@pytest.mark.parametrize(
    ("length", "expected"),
    [(518, [0]), (691, [0, 173]), (777, [0, 259]), (778, [0, 259, 260]), (300, [0])],
)
def test_windows_cover_a_side_and_the_last_ends_with_it(length, expected):
    assert window_starts(length, crop=518, stride=259) == expected


def test_windows_are_averaged_where_they_overlap():
    """An encoder that returns the number of its window, and a head that shows it."""
    numbers = iter(range(10))

    def numbered(images, masks):
        del masks
        value = float(next(numbers))
        return torch.full((1, 3, images.shape[2] // 4, images.shape[3] // 4), value)

    picture = blocks(1, seed=0, size=(16, 32))[0]
    seen = view(picture, side=1, ignore_index=255)
    inputs = picture_inputs([], [], encode=numbered)
    logits = slide(nn.Identity(), inputs, seen, crop=16, stride=8)
    assert logits[0, 0, ::8].tolist() == [0.0, 0.5, 1.5, 2.0]


def test_training_views_have_the_crops_size_and_its_void(world):
    settings = {k: SETTINGS[k] for k in ("long_side", "short_side", "ratios", "crop")}
    shapes, voids = set(), []
    for seed in range(20):
        seen = training_view(
            world[0][0],
            np.random.default_rng(seed),
            largest_share=0.75,
            ignore_index=255,
            **settings,
        )
        shapes.add((*seen.pixels.shape, *seen.mask.shape))
        voids.append(float((seen.mask == 255).float().mean()))
    assert shapes == {(3, 32, 32, 32, 32)}
    assert min(voids) == 0.0
    assert max(voids) > 0.2  # small ratios leave a border


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_colours_that_name_the_class_are_read_at_the_masks_own_size(world, optimizer):
    outcome = run(picture_inputs(*world), optimizer=optimizer)
    assert outcome.evidence["confusion"].sum() == 7 * 16 * 24
    found = scores(outcome)
    assert found["miou"] > 0.85
    assert found["class_accuracy"] > 0.9
    assert outcome.details["steps"] == 60


def test_epochs_end_training_early(world):
    assert run(picture_inputs(*world), max_epochs=1).details["steps"] == 6


def test_ground_truth_is_the_bound_and_constants_are_chance(world):
    assert scores(run(pixel_classes(picture_inputs(*world))))["miou"] > 0.85
    blind = run(picture_inputs(*world, encode=constant)).evidence["confusion"].sum((0, 1))
    assert np.count_nonzero(blind) == 1


def test_scales_and_mirror_images_vote(world):
    """A head that only the mirrored image satisfies decides when it is the surer one."""
    inputs = picture_inputs([], world[1], encode=mean_colours)
    plain, voted = (
        torch.stack(list(segment(nn.Identity(), inputs, scales=s, flip=f, **TEST)))
        for s, f in (((1.0,), False), ((1.0, 1.32, 1.73), True))
    )
    masks = torch.stack([torch.from_numpy(picture.mask) for picture in world[1]])
    assert (plain == masks).float().mean() > 0.85
    assert (voted == masks).float().mean() >= (plain == masks).float().mean() - 0.02
    mirrored = [type(p)(p.image.transpose(0), p.mask[:, ::-1].copy()) for p in world[1]]
    turned = torch.stack(
        list(
            segment(
                nn.Identity(),
                picture_inputs([], mirrored, encode=mean_colours),
                scales=(1.0,),
                flip=True,
                **TEST,
            )
        )
    )
    straight = torch.stack(list(segment(nn.Identity(), inputs, scales=(1.0,), flip=True, **TEST)))
    assert (turned.flip(2) == straight).float().mean() > 0.99


def test_images_of_any_size_are_painted(world):
    odd = blocks(2, seed=3, size=(15, 25), block=5)
    outcome = run(picture_inputs(world[0], odd), steps=5)
    assert outcome.evidence["confusion"].sum() == 2 * 15 * 25


def test_void_pixels_play_no_part(world):
    outcome = run(picture_inputs(world[0], void(world[1], slice(0, 8))), steps=3)
    assert outcome.evidence["confusion"].sum() == 7 * 16 * 24 / 2


def test_an_absent_class_plays_no_part():
    pair = [blocks(24, seed=0, classes=2), blocks(7, seed=1, classes=2)]
    found = scores(run(picture_inputs(*pair, num_classes=4)))
    assert found["miou"] > 0.85
    assert found["class_accuracy"] > 0.9


def test_same_seed_same_bits(world):
    first, second = (run(picture_inputs(*world), steps=5).evidence["confusion"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
