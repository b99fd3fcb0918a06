"""The spread of seeds and the sampling error stand apart."""

import statistics

import pytest

from franca.eval.results import Metric, write_json, write_metrics
from franca.eval.seeds import spread_over_seeds


def write_run(folder, *, value, seed=0, weights="a", version="1.0"):
    folder.mkdir()
    metric = Metric(
        "knn",
        "set",
        "top1",
        value,
        (value - 0.02, value + 0.04),
        40,
        "higher",
        "p",
        "1",
        "fraction",
    )
    write_metrics(folder / "metrics.json", [metric])
    address = {"weights": weights, "seed": seed, "version": version, "images": "i"}
    write_json(folder / "details.json", {"tasks": {"knn-set": {"address": address}}})
    return folder


def test_seeds_spread_and_the_interval_of_images_is_not_added(tmp_path):
    values = [0.50, 0.52, 0.57]
    folders = [write_run(tmp_path / str(i), value=v, seed=i) for i, v in enumerate(values)]
    (found,) = spread_over_seeds(folders)
    assert found.runs == 3
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd_seed == pytest.approx(statistics.stdev(values))
    assert found.ci_sampling == pytest.approx(0.03)
    again = [write_run(tmp_path / f"w{i}", value=0.5, weights=str(i)) for i in range(2)]
    assert spread_over_seeds(again)[0].sd_seed == 0


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({}, "have the same weights and seed"),
        ({"seed": 1, "version": "1.1"}, "knn-set of b and of a differ in version"),
    ],
)
def test_what_differs_otherwise_or_in_nothing_has_no_spread(tmp_path, other, message):
    folders = [write_run(tmp_path / "a", value=0.5), write_run(tmp_path / "b", value=0.6, **other)]
    with pytest.raises(ValueError, match=message):
        spread_over_seeds(folders)
    with pytest.raises(ValueError, match="at least two folders"):
        spread_over_seeds(folders[:1])
