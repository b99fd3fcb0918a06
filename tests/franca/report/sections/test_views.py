"""Crops and masks as training draws them."""

import numpy as np
import pytest

from franca.config.augment import Augment
from franca.data.augment import build_augmentation
from franca.masking.cyclic import CyclicMask
from franca.report.pictures import decode
from franca.report.sections.views import ViewSettings, build_views, draw_masks
from franca.report.shards import read_kept
from tests.franca.report.world import AUGMENT

SETTINGS = ViewSettings(
    augmentation=build_augmentation(Augment(**AUGMENT)),
    masker=CyclicMask(grid=(8, 8)),
    num_patches=64,
    ratio=(0.1, 0.65),
)


@pytest.fixture
def images(finished_run):
    return read_kept(finished_run["pack_shards"], count=2)


def test_masks_hide_ever_more():
    masks = draw_masks(SETTINGS, number=4, seed=0)
    assert masks.shape == (4, 8, 8)
    assert masks.sum((1, 2)).tolist() == [6, 18, 29, 41]  # floor(64 x 0.1, 0.283, 0.467, 0.65)


def test_one_row_an_image(images):
    intro, grid = build_views(images, SETTINGS, seed=0).blocks
    assert "2 global and 6 local crops" in intro.text
    assert [len(row) for row in grid.rows] == [4, 4]
    assert grid.rows[0][1].label == "global crop, 9% hidden"


def test_equal_seeds_draw_equal_views(images):
    first, again, other = (build_views(images, SETTINGS, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_hidden_patches_are_veiled_and_others_are_not(images):
    everything = ViewSettings(
        augmentation=SETTINGS.augmentation, masker=SETTINGS.masker, num_patches=64, ratio=(1.0, 1.0)
    )
    hidden = build_views(images, everything, seed=0).blocks[1].rows[0][1]
    assert np.asarray(decode(hidden.data)).min() > 200  # close to paper


@pytest.mark.parametrize("missing", ["settings", "images"])
def test_nothing_to_draw_is_said(images, missing):
    arguments = ([], SETTINGS) if missing == "images" else (images, None)
    (block,) = build_views(*arguments, seed=0).blocks
    assert block.kind == "missing"
