"""Images with masks: what is read, what is refused and in which words."""

import numpy as np
import pytest
from PIL import Image

from franca.eval.masked import SegmentationImages
from tests.franca.eval.worlds import write_voc


def test_segmentation_reads_masks_and_geometry(tmp_path):
    write_voc(tmp_path, {"train": 2, "val": 3})
    images = SegmentationImages(tmp_path, split="val", limit=None)
    assert len(images) == 3
    assert images.image(0).size == (16, 16)
    mask = images.mask(0, side=16)
    assert mask[0].tolist() == [255] * 16
    assert mask[1:].max() < 3
    assert images.mask(0, side=8).shape == (8, 8)
    assert images.depth(0).shape == (16, 16)
    assert images.normals(0).shape == (16, 16, 3)
    assert len(SegmentationImages(tmp_path, split="val", limit=2)) == 2


def test_segmentation_digest_covers_masks_and_geometry(tmp_path):
    write_voc(tmp_path, {"val": 1})
    before = SegmentationImages(tmp_path, split="val", limit=None).digest
    depth = tmp_path / "Depth" / "val_0.npy"
    np.save(depth, np.load(depth) + 1)
    assert SegmentationImages(tmp_path, split="val", limit=None).digest != before


def test_damaged_segmentation_sets_are_refused(tmp_path):
    write_voc(tmp_path, {"val": 1})
    with pytest.raises(ValueError, match="lists 3 classes but num_classes is 4"):
        SegmentationImages(tmp_path, split="val", limit=None, num_classes=4)
    (tmp_path / "JPEGImages" / "val_0.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"val_0.jpg: not a readable image"):
        SegmentationImages(tmp_path, split="val", limit=None).image(0)
    (tmp_path / "SegmentationClass" / "val_0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"SegmentationClass/val_0.png does not exist"):
        SegmentationImages(tmp_path, split="val", limit=None)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("")
    with pytest.raises(ValueError, match="names no image"):
        SegmentationImages(tmp_path, split="val", limit=None)


def test_masks_that_do_not_fit_are_named(tmp_path):
    write_voc(tmp_path, {"val": 2})
    images = SegmentationImages(tmp_path, split="val", limit=None, num_classes=3, ignore_index=255)
    path = tmp_path / "SegmentationClass" / "val_1.png"
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(path)
    assert images.mask(0, side=16).max() == 255
    with pytest.raises(ValueError, match=r"val_1.png: holds class 7 but there are 3 classes"):
        images.mask(1, side=8)
    Image.fromarray(np.zeros((8, 16), np.uint8)).save(path)
    for read in (lambda: images.mask(1, side=8), lambda: images.picture(1)):
        with pytest.raises(ValueError, match=r"val_1.png: \(8, 16\) pixels, but its image has"):
            read()
    (tmp_path / "Depth" / "val_1.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"val_1.npy: not a readable array"):
        images.depth(1)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"PASCAL VOC layout; .*val.txt does not exist"):
        SegmentationImages(tmp_path, split="val", limit=None)
