"""The headline table and the sentence above it."""

import pytest

from franca.report.results import Results, read_results
from franca.report.sections.headline import build_headline, choose_contenders


@pytest.fixture
def results(finished_run):
    return read_results(finished_run["evaluate"], main_metrics={"knn": "top1@k20"})


def only(results, *checkpoints):
    rows = [row for row in results.rows if row.checkpoint in checkpoints]
    return Results(rows, main_metrics=results.main_metrics, paired={})


def test_sentence_and_table_agree(results):
    prose, table = build_headline(results).blocks
    marks = [row[4].text[-1] for row in table.rows]
    assert marks.count("▲") == 5
    assert marks.count("▼") == 1
    assert "better than the random initialisation on **5**, worse on **1**" in prose.text


def test_columns_are_the_checkpoints_that_exist(results):
    found = choose_contenders(only(results, "step-0000000", "step-0000100", "rasa"))
    assert [contender.title for contender in found] == ["Random init", "Pretrained", "+ RASA"]
    assert found[1].checkpoint == "step-0000100"


@pytest.mark.parametrize("checkpoints", [("step-0000000",), ("highres", "rasa")])
def test_without_both_ends_nothing_is_claimed(results, checkpoints):
    prose, _ = build_headline(only(results, *checkpoints)).blocks
    assert prose.text.startswith("Only one end of the training was evaluated")


def test_without_results_it_says_so():
    (block,) = build_headline(Results([], main_metrics={}, paired={})).blocks
    assert block.kind == "missing"
