"""Schedules against the released code's, for every step and three past the end."""

import json
from pathlib import Path

import numpy as np
import pytest

from franca.train.schedules import Schedule, Schedules, scaled_learning_rate

ORACLE = Path(__file__).parents[2] / "oracles" / "schedules.npz"


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLE, allow_pickle=False) as arrays:
        return dict(arrays)


def settings(oracle):
    return json.loads(str(oracle["meta"]))["settings"]


def schedules_of(case):
    length, total = case["epoch_len"], case["epochs"] * case["epoch_len"]
    rate = scaled_learning_rate(case["base_lr"], batch_size=case["bs"] * case["world"])
    return Schedules(
        learning_rate=Schedule(
            start=0.0, peak=rate, end=case["min_lr"], total=total, warmup=case["warmup"] * length
        ),
        weight_decay=Schedule(start=0.0, peak=case["wd"], end=case["wd_end"], total=total),
        momentum=Schedule(start=0.0, peak=case["m"], end=case["m_end"], total=total),
        teacher_temperature=Schedule(
            start=case["t0"],
            peak=case["t"],
            end=case["t"],
            total=case["t_ep"] * length,
            warmup=case["t_ep"] * length,
        ),
        frozen_last_layer=case["freeze"] * length,
    )


@pytest.mark.parametrize("name", ["short", "no_warmup"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("learning_rate", "lr"),
        ("weight_decay", "wd"),
        ("momentum", "momentum"),
        ("teacher_temperature", "teacher_temp"),
        ("last_layer_learning_rate", "last_layer_lr"),
    ],
)
def test_every_step_equals_the_released_code(oracle, name, ours, theirs):
    expected = oracle[f"out/{name}/{theirs}"]
    schedules = schedules_of(settings(oracle)["schedules"][name])
    values = [getattr(schedules.at(step), ours) for step in range(len(expected))]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["short", "no_warmup"])
def test_scaled_learning_rate_equals_the_released_code(oracle, name):
    case = settings(oracle)["schedules"][name]
    rate = scaled_learning_rate(case["base_lr"], batch_size=case["bs"] * case["world"])
    assert rate == pytest.approx(float(oracle[f"out/{name}/scaled_lr"]), rel=1e-12)


def test_frozen_steps_come_before_the_warm_up(oracle):
    case = settings(oracle)["cosine"]["frozen"]
    schedule = Schedule(
        start=case["start_warmup_value"],
        peak=case["base_value"],
        end=case["final_value"],
        total=case["total_iters"],
        warmup=case["warmup_iters"],
        frozen=case["freeze_iters"],
    )
    expected = oracle["out/cosine/frozen"]
    values = [schedule(step) for step in range(len(expected))]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match="warms up for 11 steps but lasts 10"):
        Schedule(start=0.0, peak=1.0, end=0.0, total=10, warmup=11)
    with pytest.raises(ValueError, match="warms up for 11 steps but lasts 10"):
        Schedule(start=0.0, peak=1.0, end=0.0, total=10, warmup=6, frozen=5)
