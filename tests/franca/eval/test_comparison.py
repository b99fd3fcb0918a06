"""Checkpoints side by side."""

import numpy as np
import pytest

from franca.eval.comparison import compare, ladder, unique_seeds
from franca.eval.registry import BENCHMARKS
from franca.eval.results import evidence_path, write_arrays, write_json


@pytest.fixture
def evaluated(tmp_path):
    """Two checkpoints, 40 images: kNN better by ten images, position R² lower."""
    folders, results = {}, {}
    for name, right, residual, digest in [("step-0", 20, 0.8, "a"), ("step-9", 30, 0.4, "a")]:
        folders[name] = tmp_path / name
        correct = np.arange(40) < right
        squares = np.tile([[residual, residual], [1.0, 1.0]], (40, 1, 1))
        evidence = {
            "knn": {"correct@k20": correct, "correct5@k20": np.ones(40, bool)},
            "position": {"squares": squares, "squared_error": squares[:, 0, 0]},
        }
        results[name] = []
        for benchmark, arrays in evidence.items():
            write_arrays(
                evidence_path(folders[name], benchmark, "set"), arrays, images_digest=digest
            )
            results[name] += BENCHMARKS[benchmark].measure(
                arrays, dataset="set", resamples=20, seed=0
            )
    return folders, results


def run(folders, results):
    rows = compare(folders, results, pairs=[("step-9", "step-0")], resamples=50, seed=0)
    return {(row["benchmark"], row["metric"]): row for row in rows}


def test_differences_know_which_way_is_better(evaluated):
    rows = run(*evaluated)
    gain = rows["knn", "top1@k20"]
    assert gain["difference"] == 0.25
    assert gain["improved"]
    assert gain["p_value"] == pytest.approx(2 / 2**10, abs=1e-6)
    drop = rows["position", "r2"]
    assert drop["difference"] == pytest.approx(0.4)
    assert not drop["improved"]  # more position than before
    equal = rows["knn", "top5@k20"]
    assert (equal["difference"], equal["improved"], equal["p_value"]) == (0.0, False, 1.0)


def test_metric_that_only_one_has_is_left_out(evaluated):
    folders, results = evaluated
    results["step-0"] = results["step-0"][:1]
    assert set(run(folders, results)) == {("knn", "top1@k20")}


def test_what_was_evaluated_otherwise_is_never_compared(evaluated):
    folders, results = evaluated
    for name, train in (("step-0", "first"), ("step-9", "second")):
        address = {"weights": name, "learnt": {"train": train}, "version": "1.1"}
        write_json(folders[name] / "details.json", {"tasks": {"knn-set": {"address": address}}})
    with pytest.raises(ValueError, match="knn-set of step-9 and of step-0 differ in learnt: eval"):
        run(folders, results)


def test_different_images_are_never_compared(evaluated):
    folders, results = evaluated
    path = evidence_path(folders["step-0"], "knn", "set")
    write_arrays(path, {"correct@k20": np.ones(40, bool)}, images_digest="b")
    with pytest.raises(ValueError, match="evaluated on different images of set"):
        run(folders, results)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["step-0"], []),
        (["step-0", "step-5"], [("step-5", "step-0")]),
        (
            ["step-0", "step-5", "step-9", "highres", "rasa"],
            [
                ("step-5", "step-0"),
                ("step-9", "step-0"),
                ("highres", "step-0"),
                ("rasa", "step-0"),
                ("highres", "step-9"),
                ("rasa", "highres"),
            ],
        ),
    ],
)
def test_ladder(names, expected):
    assert list(ladder(names)) == expected


def test_evaluations_of_different_runs_are_refused():
    assert unique_seeds([{"seed": 1, "resamples": 9}] * 2) == (1, 9)
    with pytest.raises(ValueError, match="differ in"):
        unique_seeds([{"seed": 1, "resamples": 9}, {"seed": 2, "resamples": 9}])
