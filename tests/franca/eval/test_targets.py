"""Dense targets at patch resolution."""

import numpy as np
import pytest

from franca.eval.masked import SegmentationImages
from franca.eval.targets import load_targets, patch_depth, patch_normals
from tests.franca.eval.worlds import write_voc


def test_depth_is_the_mean_of_valid_pixels():
    depth = np.array([[1, 3, 0, 0], [np.nan, 2, -1, np.inf]], dtype=np.float32)
    np.testing.assert_allclose(patch_depth(depth, grid=(1, 2)), [2.0, np.nan])


def test_grid_need_not_divide_the_map():
    depth = np.arange(1, 26, dtype=np.float32).reshape(5, 5)
    pooled = patch_depth(depth, grid=(2, 2)).reshape(2, 2)
    assert np.all(np.diff(pooled, axis=0) > 0)
    assert np.all(np.diff(pooled, axis=1) > 0)
    np.testing.assert_allclose(patch_depth(depth, grid=(5, 5)), depth.ravel())


def test_normals_are_averaged_to_unit_length():
    normals = np.zeros((2, 4, 3), dtype=np.float32)
    normals[0, 0] = [1, 0, 0]
    normals[1, 1] = [0, 1, 0]
    normals[0, 2] = [0, 0, 1]
    normals[1, 2] = [0, 0, -1]  # cancels: no direction
    pooled = patch_normals(normals, grid=(1, 2))
    np.testing.assert_allclose(pooled[0], [0.5**0.5, 0.5**0.5, 0], rtol=1e-6)
    assert np.isnan(pooled[1]).all()


def test_all_targets_of_a_split(tmp_path):
    write_voc(tmp_path, {"val": 3})
    images = SegmentationImages(tmp_path, split="val", limit=None)
    targets = load_targets(images, side=8, grid=(2, 2), ignore_index=255)
    assert targets.masks.shape == (3, 8, 8)
    assert targets.depth.shape == (3, 4)
    assert targets.normals.shape == (3, 4, 3)
    np.testing.assert_allclose(targets.depth[0], patch_depth(images.depth(0), grid=(2, 2)))


def test_sets_without_geometry_or_without_a_valid_pixel(tmp_path):
    write_voc(tmp_path, {"val": 1}, geometry=False)
    images = SegmentationImages(tmp_path, split="val", limit=None)
    targets = load_targets(images, side=16, grid=(4, 4), ignore_index=255)
    assert targets.depth is None
    assert targets.normals is None
    from PIL import Image

    void = Image.fromarray(np.full((16, 16), 255, dtype=np.uint8))
    void.save(tmp_path / "SegmentationClass" / "val_0.png")
    with pytest.raises(ValueError, match="is void"):
        load_targets(images, side=16, grid=(4, 4), ignore_index=255)
