"""Training logs as columns."""

import json

import numpy as np

from franca.report.training_log import read_log, thin


def test_columns_keep_their_own_steps(tmp_path):
    rows = [
        {"step": 0, "loss": 3.0},
        {"step": 1, "loss": 2.0, "koleo": 0.5},
        {"step": 2, "loss": 1.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read_log(tmp_path)
    assert list(log) == ["loss", "koleo"]
    assert log["loss"][1].tolist() == [3.0, 2.0, 1.0]
    assert [column.tolist() for column in log["koleo"]] == [[1.0], [0.5]]


def test_no_log(tmp_path):
    assert read_log(tmp_path) == {}


def test_thinning_averages_and_loses_no_step():
    steps = np.arange(1000.0)
    x, y = thin(steps, 2 * steps, points=30)
    assert len(x) == 30
    assert np.allclose(y, 2 * x)
    sizes = np.diff(np.linspace(0, 1000, 31).astype(int))
    assert np.average(x, weights=sizes) == np.mean(steps)


def test_short_logs_stay():
    steps = np.arange(5.0)
    assert thin(steps, steps, points=5)[0] is steps
