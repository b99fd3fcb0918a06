"""Tables of comparisons: better is said only when it is significant, and the right way up."""

import pytest

from franca.report.comparison import (
    Comparison,
    Contender,
    common_decimals,
    compare,
    comparison_table,
    count_tones,
    how_compared,
    label,
    number,
)
from franca.report.results import RANDOM, TRUTH, Difference, Result, Results, read_results


@pytest.fixture
def results(finished_run):
    return read_results(finished_run["evaluate"], main_metrics={"knn": "top1@k20"})


CONTENDERS = [Contender(name, name) for name in (RANDOM, "step-0000400", "highres", "rasa")]


def tones(results, against):
    comparisons = compare(results, results.main_measures(), CONTENDERS, against=against)
    return {(checkpoint, key[0]): found.tone for (checkpoint, key), found in comparisons.items()}


def test_better_follows_the_direction(results):
    found = tones(results, "first")
    assert found["highres", "logreg"] == "better"  # higher is better, and it rose
    assert found["highres", "depth"] == "better"  # lower is better, and it fell
    assert found["highres", "position"] == "worse"  # lower is better, and it rose
    assert found["highres", "overclustering"] == ""  # 0.11 to 0.12 within the noise


def test_against_the_previous_column(results):
    found = tones(results, "previous")
    assert found["rasa", "position"] == "better"
    assert found["rasa", "logreg"] == ""


def test_the_first_column_is_tested_against_nothing(results):
    assert all(checkpoint != RANDOM for checkpoint, _ in tones(results, "first"))


def test_a_row_has_the_digits_of_its_narrowest_interval(results):
    measure = results.main_measures()[0]
    wide, narrow = (
        Result(checkpoint="", measure=measure, value=0.3456, interval=interval, count=9)
        for interval in ((0.22, 0.47), (0.31, 0.38))
    )
    assert common_decimals([wide]) == 2
    places = common_decimals([None, wide, narrow])
    cells = [number(result, places) for result in (wide, narrow, None)]
    assert [cell.text for cell in cells] == ["0.346", "0.346", "\u2013"]
    assert [cell.note for cell in cells[:2]] == ["[0.220, 0.470]", "[0.310, 0.380]"]


def test_a_row_says_what_it_measures(results):
    depth = next(m for m in results.main_measures() if m.benchmark == "depth")
    assert label(depth).text == "depth\N{NO-BREAK SPACE}↓"
    assert label(depth).note == "rmse (m) · rooms"


def test_the_table_marks_the_significant(results):
    measures = results.main_measures()
    comparisons = compare(results, measures, CONTENDERS, against="first")
    table = comparison_table(results, measures, CONTENDERS, comparisons, caption="")
    row = next(row for row in table.rows if row[0].text == "logreg\N{NO-BREAK SPACE}↑")
    assert [cell.text for cell in row] == [
        "logreg\N{NO-BREAK SPACE}↑", "0.240", "0.400 ▲", "0.420 ▲", "0.420 ▲", "+0.180",
    ]  # fmt: skip


def test_what_perfect_features_reach_stands_in_the_last_column(results):
    measure = next(m for m in results.main_measures() if m.benchmark == "logreg")
    top = Result(checkpoint=TRUTH, measure=measure, value=1.0, interval=(0.99, 1.0), count=400)
    bounded = Results([*results.rows, top], main_metrics=results.main_metrics, paired={})
    measures = bounded.main_measures()
    table = comparison_table(bounded, measures, CONTENDERS, {}, caption="")
    assert table.columns[-1].title == "Perfect"
    last = {row[0].text: row[-1].text for row in table.rows}
    assert float(last["logreg\N{NO-BREAK SPACE}↑"]) == 1.0
    assert last["depth\N{NO-BREAK SPACE}↓"] == "\u2013"  # was not computed


def test_tones_are_counted_for_one_checkpoint(results):
    comparisons = compare(results, results.main_measures(), CONTENDERS, against="first")
    assert count_tones(comparisons, "highres") == (5, 1, 1)


def make(paired):
    difference = Difference(delta=1.0, interval=(0.0, 2.0), paired=paired)
    return Comparison(difference=difference, tone="")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [((True,), "are paired"), ((False,), "Intervals of differences"), ((True, False), "of some")],
)
def test_the_caption_says_what_intervals_rest_on(pairs, words):
    comparisons = {(str(i), ("b", "d", "m")): make(paired) for i, paired in enumerate(pairs)}
    assert words in how_compared(comparisons)
