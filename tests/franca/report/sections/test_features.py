"""Colours of features, and masks, beside their images."""

import dataclasses

import numpy as np

from franca.report.features import read_samples
from franca.report.pictures import decode
from franca.report.sections.features import build_features


def test_one_row_an_image_one_column_a_checkpoint(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("rasa", "highres")}
    grid, _ = build_features(samples, side=32).blocks
    assert grid.columns == ("image", "before RASA", "after RASA")
    assert [len(row) for row in grid.rows] == [3, 3, 3]
    assert [decode(cell.data).size for cell in grid.rows[0]] == [(32, 32), (8, 8), (8, 8)]


def test_masks_stand_beside_the_true_ones(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("highres", "rasa")}
    _, grid = build_features(samples, side=32).blocks
    assert grid.columns == (
        "image", "true mask", "in context, before RASA", "in context, after RASA",
    )  # fmt: skip
    assert [decode(cell.data).size for cell in grid.rows[0]] == [(32, 32), *[(64, 64)] * 3]
    true, painted = (np.asarray(decode(cell.data)) for cell in grid.rows[0][1:3])
    np.testing.assert_array_equal(painted, np.roll(true, 2, axis=0))
    assert {tuple(colour) for colour in true.reshape(-1, 3)} == {(0, 0, 0), (128, 0, 0)}


def test_without_segmentation_there_are_no_masks(finished_run):
    found = read_samples(finished_run["evaluate"] / "highres", limit=3)
    samples = {"highres": dataclasses.replace(found, segmented=None)}
    assert len(build_features(samples, side=32).blocks) == 1


def test_one_checkpoint_is_shown_alone(finished_run):
    samples = {"highres": read_samples(finished_run["evaluate"] / "highres", limit=3)}
    assert build_features(samples, side=32).blocks[0].columns == ("image", "before RASA")


def test_no_samples_is_said():
    assert build_features({}, side=32).blocks[0].kind == "missing"
