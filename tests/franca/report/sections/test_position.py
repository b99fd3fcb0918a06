"""RASA's diagnostics: rounds, probes, maps."""

import pytest

from franca.report.features import read_samples
from franca.report.figures import Figures
from franca.report.sections.position import build_position, read_diagnostics


@pytest.fixture
def diagnostics(finished_run):
    return read_diagnostics(finished_run["rasa"])


@pytest.fixture
def samples(finished_run):
    folder = finished_run["evaluate"]
    return {name: read_samples(folder / name, limit=6) for name in ("highres", "rasa")}


def test_all_four_blocks(diagnostics, samples, tmp_path):
    intro, table, rounds, maps = build_position(
        diagnostics, samples, Figures(tmp_path, dpi=50)
    ).blocks
    assert "a map of rank 16" in intro.text
    assert "8.3\u202f% of the features' energy" in intro.text
    assert [row[0].text for row in table.rows] == [
        "row, linear", "column, linear", "row, small network", "column, small network",
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[0][1:]] == [
        "0.460", "0.010", "0.0540", "0.0990", "0.1000",
    ]  # fmt: skip
    assert all(f">{number}</text>" in rounds.svg for number in range(9))
    assert "R² on these few images: 1.00 before RASA" in maps.caption


def test_other_targets_are_numbered(diagnostics, tmp_path):
    changed = diagnostics | {"target": "fourier"}
    table = build_position(changed, {}, Figures(tmp_path, dpi=50)).blocks[1]
    assert table.rows[1][0].text == "fourier 2, linear"


def test_a_closed_form_has_no_rounds(diagnostics, tmp_path):
    changed = diagnostics | {"method": "leace", "after_round": []}
    blocks = build_position(changed, {}, Figures(tmp_path, dpi=50)).blocks
    assert blocks[2].text == "`leace` works in one go: there are no rounds."


def test_one_image_is_too_few_for_a_map(finished_run, diagnostics, tmp_path):
    samples = {"rasa": read_samples(finished_run["evaluate"] / "rasa", limit=1)}
    blocks = build_position(diagnostics, samples, Figures(tmp_path, dpi=50)).blocks
    assert blocks[-1].kind == "missing"


def test_no_diagnostics(tmp_path):
    assert read_diagnostics(tmp_path) is None
