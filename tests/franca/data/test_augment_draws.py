"""The random choices: torchvision's distributions, and streams that probabilities cannot shift."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from franca.data.augment_draws import View, draw_multicrop
from franca.randomness import numpy_generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "aug.npz", allow_pickle=False)
SCALES = {"global": (0.32, 1.0), "local": (0.05, 0.32)}
VIEW = View(
    size=98, scale=SCALES["global"], flip=0.5, jitter=0.8, strengths=(0.4, 0.4, 0.2, 0.1),
    grayscale=0.2, blur=0.5, blur_kernel=9, blur_sigma=(0.1, 2.0), solarize=0.2,
    solarize_threshold=128,
)  # fmt: skip


def draw(view, *, count=4000, height=256, width=256, seed=0):
    rng = numpy_generator(seed, "test")
    return draw_multicrop(rng, height=height, width=width, views=[view] * count)


@pytest.mark.parametrize("kind", ["global", "local"])
@pytest.mark.parametrize(("height", "width"), [(256, 256), (300, 500)])
def test_boxes_have_the_references_distribution(kind, height, width):
    """Kolmogorov-Smirnov against 400 boxes, z-tests against the moments of 4,000."""
    name = f"out/crops/{kind}_{height}x{width}"
    crops = draw(replace(VIEW, scale=SCALES[kind]), height=height, width=width)
    ours = np.array([crop.box for crop in crops])
    theirs = ORACLE[f"{name}/boxes_top_left_height_width"]
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    share = ours[:, 2] * ours[:, 3] / (height * width)
    log_aspect = np.log(ours[:, 3] / ours[:, 2])
    for values, moments in [(share, "area_fraction"), (log_aspect, "log_aspect")]:
        mean, std = ORACLE[f"{name}/{moments}_mean_std"]
        assert abs(values.mean() - mean) < 4 * std * math.sqrt(
            1 / 4000 + 1 / int(ORACLE[f"{name}/n"])
        )
        assert abs(values.std() / std - 1) < 0.05
    aspect = ours[:, 3] / ours[:, 2]
    for values, quantity in [(share, "area_fraction"), (aspect, "aspect_w_over_h")]:
        quantiles = np.quantile(values, np.linspace(0, 1, 21))[1:-1]
        reference = ORACLE[f"{name}/{quantity}_quantiles"][1:-1]
        assert np.abs(quantiles - reference).max() < 0.03 * np.ptp(reference)
    # Where there is room, a box lies anywhere in it with equal chance.
    room = height - ours[:, 2]
    top = (ours[:, 0] / np.maximum(room, 1))[room > 0]
    assert abs(
        top.mean() - float(ORACLE[f"{name}/top_over_room_mean"])
    ) < 4 * top.std() * math.sqrt(2 / len(top))


def test_jitter_covers_the_references_ranges_evenly():
    drawn = {}
    for crop in draw(replace(VIEW, jitter=1.0)):
        for operation, factor in crop.jitter:
            drawn.setdefault(operation, []).append(factor)
    ranges = ORACLE["out/params/jitter_ranges_brightness_contrast_saturation_hue"]
    names = ["brightness", "contrast", "saturation", "hue"]
    for name, (low, high) in zip(names, ranges, strict=True):
        assert stats.kstest(drawn[name], "uniform", args=(low, high - low)).pvalue > 1e-3


def test_every_order_of_the_jitter_is_equally_likely():
    orders = Counter(tuple(name for name, _ in crop.jitter) for crop in draw(VIEW) if crop.jitter)
    assert len(orders) == 24
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


@pytest.mark.parametrize(
    ("field", "happened"),
    [
        ("flip", lambda crop: crop.flip),
        ("jitter", lambda crop: bool(crop.jitter)),
        ("grayscale", lambda crop: crop.grayscale),
        ("blur", lambda crop: crop.blur_sigma is not None),
        ("solarize", lambda crop: crop.solarize_threshold is not None),
    ],
)
def test_each_choice_has_its_probability(field, happened):
    for probability in (0.0, 0.3, 1.0):
        crops = draw(replace(VIEW, **{field: probability}), count=1000)
        rate = np.mean([happened(crop) for crop in crops])
        assert abs(rate - probability) <= 4 * math.sqrt(probability * (1 - probability) / 1000)


def test_blur_is_uniform_in_sigma():
    sigmas = [crop.blur_sigma for crop in draw(replace(VIEW, blur=1.0))]
    assert stats.kstest(sigmas, "uniform", args=(0.1, 1.9)).pvalue > 1e-3


def test_a_probability_shifts_no_other_choice():
    """Ablations compare like with like: switching blur off leaves boxes and colours alone."""
    with_blur, without = draw(VIEW, count=50), draw(replace(VIEW, blur=0.0), count=50)
    assert any(crop.blur_sigma is not None for crop in with_blur)
    assert [replace(crop, blur_sigma=None) for crop in with_blur] == without


def test_more_local_crops_leave_the_first_ones_alone():
    assert draw(VIEW, count=10)[:6] == draw(VIEW, count=6)


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 600), width=st.integers(1, 600), seed=st.integers(0, 1000),
    scale=st.sampled_from([(0.01, 0.02), (0.05, 0.32), (0.32, 1.0), (1.0, 1.0)]),
)  # fmt: skip
def test_boxes_lie_inside_any_image(height, width, seed, scale):
    for crop in draw(replace(VIEW, scale=scale), count=3, height=height, width=width, seed=seed):
        top, left, box_height, box_width = crop.box
        assert box_height >= 1
        assert box_width >= 1
        assert 0 <= top <= height - box_height
        assert 0 <= left <= width - box_width


def test_a_long_image_falls_back_to_the_largest_allowed_box_in_its_centre():
    crops = draw(replace(VIEW, scale=(0.9, 1.0)), count=20, height=30, width=300)
    assert {crop.box for crop in crops} == {(0, 130, 30, 40)}
    crops = draw(replace(VIEW, scale=(0.9, 1.0)), count=20, height=300, width=30)
    assert {crop.box for crop in crops} == {(130, 0, 40, 30)}


def test_oracle_is_the_one_these_numbers_belong_to():
    meta = json.loads(str(ORACLE["meta"]))["settings"]
    assert (tuple(meta["gscale"]), tuple(meta["lscale"])) == (SCALES["global"], SCALES["local"])
