"""Images with depth and normals in PASCAL VOC's folders."""

import shutil

import numpy as np
import pytest

from franca.eval.inputs.geometry import GeometryImages
from tests.franca.eval.worlds import write_voc


@pytest.fixture
def root(tmp_path):
    write_voc(tmp_path, {"train": 3, "val": 2})
    return tmp_path


def test_geometry_is_read_and_what_is_not_known_is_zero(root):
    depth = np.load(root / "Depth/val_1.npy").astype(np.float32)
    depth[0, 5], depth[1, 5] = np.nan, -1
    np.save(root / "Depth/val_1.npy", depth)
    images = GeometryImages(root, split="val", limit=None)
    found = images.geometry(1)
    assert found.depth.shape == images.size(1) == (16, 16)
    assert found.normals.shape == (3, 16, 16)
    assert found.depth[0, 5] == found.depth[1, 5] == found.depth[0, 0] == 0
    np.testing.assert_array_equal(found.depth[8], depth[8])
    normals = np.load(root / "Normals/val_1.npy").astype(np.float32)
    np.testing.assert_array_equal(found.normals[:, 3, 7], normals[3, 7])


def test_a_set_may_have_no_normals(root):
    shutil.rmtree(root / "Normals")
    assert GeometryImages(root, split="val", limit=None).geometry(0).normals is None


def test_images_of_a_folder_are_of_one_scene(root):
    for folder, suffix in (("JPEGImages", "jpg"), ("Depth", "npy"), ("Normals", "npy")):
        (root / folder / "kitchen").mkdir()
        for number in (0, 1):
            source = root / folder / f"train_{number}.{suffix}"
            shutil.move(source, root / folder / "kitchen" / f"{number}.{suffix}")
    listing = root / "ImageSets/Segmentation/train.txt"
    listing.write_text("kitchen/0\ntrain_2\nkitchen/1\n")
    images = GeometryImages(root, split="train", limit=None)
    assert images.groups == ("kitchen", "train_2", "kitchen")


def test_digest_knows_geometry_and_selection(root):
    def digest(limit=None):
        return GeometryImages(root, split="train", limit=limit).digest

    before = digest()
    assert digest(2) != before
    np.save(root / "Depth/train_0.npy", np.ones((16, 16)))
    assert digest() != before


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("ImageSets/Segmentation/val.txt", "val.txt does not exist"),
        ("Depth/val_0.npy", "Depth/val_0: no such file"),
        ("JPEGImages/val_1.jpg", "JPEGImages/val_1: no such file"),
    ],
)
def test_what_is_missing_is_named(root, broken, message):
    (root / broken).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        GeometryImages(root, split="val", limit=None)


def test_geometry_of_another_size_is_refused(root):
    np.save(root / "Depth/val_0.npy", np.ones((8, 8)))
    with pytest.raises(ValueError, match=r"val_0.npy: shape \(8, 8\), but the image"):
        GeometryImages(root, split="val", limit=None).geometry(0)
