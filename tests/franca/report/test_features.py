"""Features as colours: joint, deterministic, and blind to a rotation of the feature space."""

import dataclasses

import numpy as np
import pytest

from franca.report.features import (
    Samples,
    colours,
    heat,
    paint_classes,
    principal_components,
    read_samples,
)


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    scales = np.array([5.0, 3.0, 2.0, 0.2, 0.1, 0.1])
    patches = rng.normal(size=(4, 6, 6)) * scales + 1
    images = rng.integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
    masks = np.zeros((4, 8, 12), np.uint8)
    return Samples(images=images, patches=patches, grid=(2, 3), masks=masks)


def test_axes_are_those_of_a_singular_value_decomposition(samples):
    flat = samples.patches.reshape(-1, 6)
    _, _, expected = np.linalg.svd(flat - flat.mean(0))
    axes = principal_components(flat, count=3)
    assert np.allclose(np.abs((axes * expected[:3]).sum(1)), 1)


def test_the_largest_loading_is_positive(samples):
    flat = samples.patches.reshape(-1, 6)
    for axes in (principal_components(flat, count=3), principal_components(-flat, count=3)):
        assert (axes[np.arange(3), np.abs(axes).argmax(1)] > 0).all()


def test_colours_are_joint_over_the_images(samples):
    mapped = colours(samples)
    assert mapped.shape == (4, 2, 3, 3)
    order = [2, 0, 3, 1]
    shuffled = dataclasses.replace(samples, patches=samples.patches[order])
    assert np.array_equal(colours(shuffled), mapped[order])


def test_colours_ignore_a_shift_and_a_scale_of_all_features(samples):
    moved = dataclasses.replace(samples, patches=3 * samples.patches + 7)
    assert np.abs(colours(moved).astype(int) - colours(samples)).max() <= 1


def test_constant_features_have_one_colour(samples):
    flat = dataclasses.replace(samples, patches=np.ones_like(samples.patches))
    assert len(np.unique(colours(flat).reshape(-1, 3), axis=0)) == 1


def test_samples_are_read_back_and_limited(finished_run):
    found = read_samples(finished_run["evaluate"] / "rasa", limit=2)
    assert found.images.shape == (2, 64, 64, 3)
    assert found.patches.shape == (2, 64, 24)
    assert found.grid == (8, 8)


def test_no_samples(tmp_path):
    assert read_samples(tmp_path, limit=2) is None


def test_patches_that_do_not_fill_the_grid_are_refused(tmp_path):
    images = np.zeros((1, 4, 4, 3), np.uint8)
    patches, grid = np.zeros((1, 5, 2)), np.array([2, 2])
    np.savez(
        tmp_path / "samples.npz", images=images, patches=patches, grid=grid, masks=images[..., 0]
    )
    with pytest.raises(ValueError, match="5 patches do not fill a grid of 2 by 2"):
        read_samples(tmp_path, limit=1)


def test_heat_ends_where_it_is_told_and_keeps_order():
    painted = heat(np.array([-1.0, 0.0, 1.0, 2.0, 3.0]), low=0.0, high=2.0)
    assert painted.shape == (5, 3)
    assert painted[0].tolist() == painted[1].tolist() != painted[2].tolist()
    assert painted[3].tolist() == painted[4].tolist()
    assert (np.diff(painted[1:4].astype(int).sum(1)) > 0).all()  # ever brighter
    assert len(np.unique(heat(np.full((2, 2), 5.0), low=5.0, high=5.0).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("number", "colour"),
    [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),  # aeroplane
        (15, (192, 128, 128)),  # person
        (20, (0, 64, 128)),  # television
        (255, (224, 224, 192)),  # void
    ],
)
def test_classes_have_the_colours_of_pascal_voc(number, colour):
    mask = np.full((2, 3), number, np.uint8)
    assert paint_classes(mask).shape == (2, 3, 3)
    assert tuple(paint_classes(mask)[1, 2]) == colour
