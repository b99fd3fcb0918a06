"""Metrics rows: exactly one per logged step, also across a kill and a restart."""

import json

from franca.train.metrics import MetricsFile, Speed


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_rows_from_the_resumed_step_on_are_redone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path, first_step=0)
    for step in (10, 20, 30):
        metrics.write(step, {"loss": 1.0 / step})
    with path.open("a") as file:
        file.write('{"step": 40, "lo')  # torn by a kill
    resumed = MetricsFile(path, first_step=30)
    assert steps(path) == [10, 20]
    resumed.write(30, {"loss": 0.5})
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 30, "loss": 0.5}


def test_a_new_run_starts_an_empty_file(tmp_path):
    path = tmp_path / "work" / "metrics.jsonl"
    MetricsFile(path, first_step=0)
    assert path.read_text() == ""


def test_speed_counts_images():
    speed = Speed()
    speed.count(64)
    assert speed.images_per_second > 0
