"""Colours of features beside their images."""

from franca.report.features import read_samples
from franca.report.pictures import decode
from franca.report.sections.features import build_features


def test_one_row_an_image_one_column_a_checkpoint(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("rasa", "highres")}
    (grid,) = build_features(samples, side=32).blocks
    assert grid.columns == ("image", "before RASA", "after RASA")
    assert [len(row) for row in grid.rows] == [3, 3, 3]
    assert [decode(cell.data).size for cell in grid.rows[0]] == [(32, 32), (8, 8), (8, 8)]


def test_one_checkpoint_is_shown_alone(finished_run):
    samples = {"highres": read_samples(finished_run["evaluate"] / "highres", limit=3)}
    assert build_features(samples, side=32).blocks[0].columns == ("image", "before RASA")


def test_no_samples_is_said():
    assert build_features({}, side=32).blocks[0].kind == "missing"
