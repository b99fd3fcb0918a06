"""Colours of features, and masks, beside their images."""

import dataclasses

import numpy as np

from franca.report.features import heat, read_samples
from franca.report.pictures import decode
from franca.report.sections.features import build_features


def test_one_row_an_image_one_column_a_checkpoint(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("rasa", "highres")}
    grid = build_features(samples, side=32).blocks[0]
    assert grid.columns == ("image", "before RASA", "after RASA")
    assert [len(row) for row in grid.rows] == [3, 3, 3]
    assert [decode(cell.data).size for cell in grid.rows[0]] == [(32, 32), (8, 8), (8, 8)]


def test_masks_stand_beside_the_true_ones(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("highres", "rasa")}
    grid = build_features(samples, side=32).blocks[1]
    assert grid.columns == (
        "image", "true mask", "in context, before RASA", "in context, after RASA",
        "clusters, before RASA", "clusters, after RASA",
    )  # fmt: skip
    sizes = [decode(cell.data).size for cell in grid.rows[0]]
    assert sizes == [(32, 32), *[(64, 64)] * 3, (8, 8), (8, 8)]
    true, painted = (np.asarray(decode(cell.data)) for cell in grid.rows[0][1:3])
    np.testing.assert_array_equal(painted, np.roll(true, 2, axis=0))
    assert {tuple(colour) for colour in true.reshape(-1, 3)} == {(0, 0, 0), (128, 0, 0)}


def test_without_segmentation_there_are_no_masks(finished_run):
    found = read_samples(finished_run["evaluate"] / "highres", limit=3)
    samples = {"highres": dataclasses.replace(found, segmented=None, clustered=None)}
    names = [block.name for block in build_features(samples, side=32).blocks]
    assert names == ["features-pca", "features-attention"]


def test_attention_and_norms_before_and_after_training(finished_run):
    folder = finished_run["evaluate"]
    samples = {name: read_samples(folder / name, limit=3) for name in ("step-0000000", "highres")}
    grid = build_features(samples, side=32).blocks[-1]
    assert grid.columns == (
        "image", "attention, untrained", "attention, trained", "norms, untrained", "norms, trained",
    )  # fmt: skip
    sample = samples["highres"]
    pixels = np.asarray(decode(grid.rows[1][2].data)).reshape(64, 3)
    brightest = pixels[sample.attention[1].mean(0).argmax()]
    assert brightest.tolist() == heat(np.ones(1), low=0.0, high=1.0)[0].tolist()
    assert f"trained {sample.norms.min():.1f} to {sample.norms.max():.1f}" in grid.caption


def test_a_model_that_shows_neither_attention_nor_norms(finished_run):
    found = read_samples(finished_run["evaluate"] / "highres", limit=3)
    samples = {"highres": dataclasses.replace(found, attention=None, norms=None)}
    names = [block.name for block in build_features(samples, side=32).blocks]
    assert names == ["features-pca", "features-masks"]


def test_one_checkpoint_is_shown_alone(finished_run):
    samples = {"highres": read_samples(finished_run["evaluate"] / "highres", limit=3)}
    assert build_features(samples, side=32).blocks[0].columns == ("image", "before RASA")


def test_no_samples_is_said():
    assert build_features({}, side=32).blocks[0].kind == "missing"
