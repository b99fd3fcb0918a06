"""The comparison page: the rungs in order, the right pairs, the same bytes twice."""

import json

import pytest

from franca.report.ablation import build_ablation
from tests.franca.report.world import make_results


@pytest.fixture
def folders(tmp_path):
    found = {}
    for variant in ("dinov2", "franca"):
        found[variant] = tmp_path / variant
        found[variant].mkdir()
        text = json.dumps(make_results(variant))
        (found[variant] / "results.json").write_text(text)
    return found


def build(folders, output, **options):
    return build_ablation(
        folders, scale="tiny", main_metrics={"knn": "top1@k20"}, dpi=50, output=output, **options
    )


def test_rungs_are_those_of_figure_2(folders, tmp_path):
    summary = build(folders, tmp_path / "out")
    rungs = [row["checkpoint"] for row in summary["rows"] if row["benchmark"] == "logreg"]
    assert rungs == [
        "dinov2/step-0000400", "franca/step-0000400", "franca/highres", "franca/rasa",
    ]  # fmt: skip
    logreg = [row for row in summary["rows"] if row["benchmark"] == "logreg"]
    assert [row["value"] for row in logreg] == [0.384, 0.4, 0.42, 0.42]
    assert [row["change"] for row in logreg] == [None, 0.016, 0.02, 0.0]
    assert json.loads((tmp_path / "out/ablation.json").read_text()) == summary


def test_only_significant_changes_count(folders, tmp_path):
    rows = build(folders, tmp_path / "out")["rows"]
    sure = {(row["benchmark"], row["checkpoint"]) for row in rows if row["significant"]}
    assert ("position", "franca/rasa") in sure  # 0.43 to 0.04
    assert ("logreg", "franca/highres") not in sure  # 0.40 to 0.42, 400 images


def test_paired_differences_between_variants_are_used(folders, tmp_path):
    row = {
        "checkpoint": "franca/step-0000400", "baseline": "dinov2/step-0000400",
        "benchmark": "logreg", "dataset": "objects", "metric": "top1",
        "difference": 0.016, "ci95": [0.012, 0.02],
    }  # fmt: skip
    rows = build(folders, tmp_path / "out", comparisons=[row])["rows"]
    found = next(
        r for r in rows if (r["benchmark"], r["checkpoint"]) == ("logreg", row["checkpoint"])
    )
    assert (found["change_ci95"], found["paired"], found["significant"]) == (
        [0.012, 0.02],
        True,
        True,
    )


def test_bytes_repeat(folders, tmp_path):
    for name in ("one", "two"):
        build(folders, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_missing_variant_is_named(folders, tmp_path):
    del folders["dinov2"]
    with pytest.raises(ValueError, match="needs the variant 'dinov2' but got franca"):
        build(folders, tmp_path / "out")


def test_a_variant_that_was_not_trained_is_named(folders, tmp_path):
    rows = [row for row in make_results("dinov2") if row["checkpoint"] == "step-0000000"]
    (folders["dinov2"] / "results.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match="variant 'dinov2' has no evaluated checkpoint after"):
        build(folders, tmp_path / "out")
