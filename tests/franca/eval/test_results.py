"""What is written is what is read, byte for byte from run to run."""

import dataclasses
import json

import numpy as np
import pytest

from franca.eval.results import (
    Metric,
    evidence_path,
    read_arrays,
    read_metrics,
    write_arrays,
    write_json,
    write_metrics,
)

METRIC = Metric(
    benchmark="knn",
    dataset="objects",
    metric="top1@k20",
    value=1 / 3,
    ci95=(0.25, 0.5),
    n=12,
    direction="higher",
    protocol="p",
    version="1.0",
    unit="fraction",
)


def test_metrics_round_trip_to_six_decimals(tmp_path):
    write_metrics(tmp_path / "metrics.json", [METRIC])
    rounded = dataclasses.replace(METRIC, value=0.333333)
    assert read_metrics(tmp_path / "metrics.json") == [rounded]
    (row,) = json.loads((tmp_path / "metrics.json").read_text())
    assert set(row) == {
        "benchmark", "dataset", "metric", "value", "ci95", "n", "direction", "protocol", "version",
        "unit",
    }  # fmt: skip


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"value": float("nan")})


def test_evidence_round_trips_and_its_bytes_repeat(tmp_path):
    evidence = {
        "correct@d/4": np.array([True, False]),
        "confusion": np.eye(2, dtype=np.int64)[None],
    }
    paths = [evidence_path(tmp_path / str(i), "knn", "objects") for i in range(2)]
    for path in paths:
        write_arrays(path, evidence, images_digest="abc")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    found, digest = read_arrays(paths[0])
    assert digest == "abc"
    assert set(found) == set(evidence)
    for name, values in evidence.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
