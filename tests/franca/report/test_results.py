"""Reading results, and what may be said of a difference."""

import json
import math

import pytest

from franca.report.results import (
    Difference,
    Result,
    Results,
    holm,
    join_results,
    read_results,
    unpaired_difference,
)
from tests.franca.report.world import CHECKPOINTS, make_results


def write(folder, rows):
    (folder / "results.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture
def results(tmp_path):
    return read_results(write(tmp_path, make_results()), main_metrics={"knn": "top1@k20"})


def test_checkpoints_come_in_the_order_of_training(tmp_path):
    rows = make_results()[::-1]
    found = read_results(write(tmp_path, rows), main_metrics={})
    assert found.checkpoints() == list(CHECKPOINTS)
    assert found.trained() == "step-0000400"


def test_main_metric_is_the_chosen_one_or_else_the_first(results):
    main = {measure.benchmark: measure.metric for measure in results.main_measures()}
    assert main["knn"] == "top1@k20"  # not its first, top1@k10
    assert main["logreg"] == "top1"
    assert len(main) == 7


def test_a_run_of_random_weights_alone_has_no_trained_checkpoint(tmp_path):
    rows = [row for row in make_results() if row["checkpoint"] == "step-0000000"]
    assert read_results(write(tmp_path, rows), main_metrics={}).trained() is None


def test_perfect_features_are_a_bound_and_no_checkpoint(tmp_path):
    rows = make_results()
    top = rows[0] | {"checkpoint": "ground_truth", "value": 1.0, "ci95": [0.99, 1.0]}
    found = read_results(write(tmp_path, [*rows, top]), main_metrics={})
    assert found.checkpoints() == list(CHECKPOINTS)
    first, second = found.measures()[:2]
    assert found.bound(first).value == 1.0
    assert found.bound(second) is None
    joined = join_results({"franca": found}, paired={})
    assert joined.checkpoints() == sorted(f"franca/{name}" for name in CHECKPOINTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "up"}, "direction 'up' is neither"),
        ({"ci95": [0.1]}, "ci95 is neither null nor"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, change, message):
    rows = make_results()[:2]
    rows[1] |= change
    with pytest.raises(ValueError, match=f"entry 1: {message}"):
        read_results(write(tmp_path, rows), main_metrics={})


def test_a_missing_field_is_named(tmp_path):
    rows = make_results()[:1]
    del rows[0]["value"]
    with pytest.raises(ValueError, match="entry 0: no value; rerun"):
        read_results(write(tmp_path, rows), main_metrics={})


def test_no_results_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the stage evaluate"):
        read_results(tmp_path, main_metrics={})


def make_pair(results, gap, error):
    """Two results whose standard errors are `error`, `gap` apart."""
    measure = results.measures()[0]
    half = 1.959963984540054 * error

    def at(value):
        return Result(
            checkpoint="", measure=measure, value=value,
            interval=(value - half, value + half), count=1,
        )  # fmt: skip

    return at(0.3 + gap), at(0.3)


def test_unpaired_difference_adds_variances(results):
    change = unpaired_difference(*make_pair(results, gap=0.1, error=0.03))
    half = 1.959963984540054 * 0.03 * math.sqrt(2)
    assert change.delta == pytest.approx(0.1)
    assert change.interval == pytest.approx((0.1 - half, 0.1 + half))
    assert not change.paired
    z = 0.1 / (0.03 * math.sqrt(2))
    assert change.p_value == pytest.approx(1 - math.erf(z / math.sqrt(2)))


def test_p_value_is_5_percent_where_the_interval_touches_zero():
    assert Difference(delta=1.0, interval=(0.0, 2.0), paired=True).p_value == pytest.approx(0.05)


def test_difference_of_exact_numbers_is_certain(results):
    assert unpaired_difference(*make_pair(results, gap=0.1, error=0.0)).p_value == 0.0
    assert unpaired_difference(*make_pair(results, gap=0.0, error=0.0)).p_value == 1.0


def test_no_interval_no_difference(results):
    first, second = make_pair(results, gap=0.1, error=0.03)
    bare = Result(checkpoint="", measure=first.measure, value=0.3, interval=None, count=1)
    assert unpaired_difference(bare, second) is None
    assert unpaired_difference(first, bare) is None
    assert unpaired_difference(None, second) is None


def test_paired_differences_are_preferred(tmp_path):
    folder = write(tmp_path, make_results())
    row = {
        "checkpoint": "rasa", "baseline": "highres", "benchmark": "depth", "dataset": "rooms",
        "metric": "rmse", "difference": 0.01, "ci95": [0.005, 0.015], "p_value": 0.002,
        "improved": False,
    }  # fmt: skip
    (folder / "comparisons.json").write_text(json.dumps([row]))
    found = read_results(folder, main_metrics={})
    depth = next(m for m in found.measures() if m.benchmark == "depth")
    assert found.difference("rasa", "highres", depth) == Difference(
        delta=0.01, interval=(0.005, 0.015), paired=True
    )
    assert not found.difference("rasa", "step-0000400", depth).paired


def test_runs_are_joined_under_their_names(results):
    key = ("depth", "rooms", "rmse")
    across = {("b/rasa", "a/rasa", key): Difference(delta=1.0, interval=(0.0, 2.0), paired=True)}
    within = {("rasa", "highres", key): Difference(delta=2.0, interval=(1.0, 3.0), paired=True)}
    other = Results(results.rows, main_metrics={}, paired=within)
    joined = join_results({"a": results, "b": other}, paired=across)
    depth = next(m for m in joined.measures() if m.key == key)
    assert len(joined) == 2 * len(results)
    assert joined.get("a/rasa", depth).value == results.get("rasa", depth).value
    assert joined.difference("b/rasa", "a/rasa", depth).delta == 1.0
    assert joined.difference("b/rasa", "b/highres", depth).delta == 2.0
    assert joined.main_metrics == {"knn": "top1@k20"}


def test_holm_stops_at_the_first_failure():
    # ordered .005 <= .05/4, .01 <= .05/3, .03 > .05/2: so .04 <= .05/1 must not count either
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([]) == []


def test_nothing_measured_is_an_empty_table():
    empty = Results([], main_metrics={}, paired={})
    assert (len(empty), empty.checkpoints(), empty.main_measures()) == (0, [], [])
