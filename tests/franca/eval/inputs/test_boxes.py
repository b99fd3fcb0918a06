"""Boxes from annotations and from masks of instances."""

import numpy as np
import pytest
from PIL import Image

from franca.eval.inputs.boxes import BoxedImages, boxes_of_mask, boxes_of_xml
from tests.franca.eval.worlds import write_voc

OBJECT = "<object><difficult>{}</difficult><bndbox>{}</bndbox></object>"


def bndbox(*corners):
    names = ("xmin", "ymin", "xmax", "ymax")
    return "".join(f"<{n}>{c}</{n}>" for n, c in zip(names, corners, strict=True))


def write_detection(root, split, annotations):
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{n}\n" for n in annotations))
    for name, objects in annotations.items():
        Image.new("RGB", (30, 20)).save(root / f"JPEGImages/{name}.jpg")
        text = f"<annotation>{''.join(objects)}</annotation>"
        (root / f"Annotations/{name}.xml").write_text(text)


def test_annotations_count_from_one_and_difficult_objects_stay(tmp_path):
    objects = [OBJECT.format(0, bndbox(1, 1, 30, 20)), OBJECT.format(1, bndbox(3, 4, 5, 6))]
    write_detection(tmp_path, "trainval", {"000001": objects, "000002": []})
    images = BoxedImages(tmp_path, split="trainval", detection=True, limit=None)
    assert len(images) == 2
    assert images.size(0) == (20, 30)
    assert images.boxes(0).tolist() == [[0, 0, 30, 20], [2, 3, 5, 6]]
    assert images.boxes(1).shape == (0, 4)
    assert images.image(0).size == (30, 20)


def test_instances_of_a_mask(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5], mask[4, 7], mask[0] = 1, 3, 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert boxes_of_mask(tmp_path / "mask.png").tolist() == [[2, 1, 5, 3], [7, 4, 8, 5]]
    Image.new("L", (4, 4)).save(tmp_path / "empty.png")
    assert boxes_of_mask(tmp_path / "empty.png").shape == (0, 4)


def test_segmentation_splits_have_the_boxes_of_their_instances(tmp_path):
    write_voc(tmp_path, {"val": 3})
    images = BoxedImages(tmp_path, split="val", detection=False, limit=2)
    assert len(images) == 2
    assert images.boxes(0).shape[1] == 4
    before = images.digest
    Image.new("L", (16, 16)).save(tmp_path / f"SegmentationObject/{images.names[0]}.png")
    again = BoxedImages(tmp_path, split="val", detection=False, limit=2)
    assert again.digest != before


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"PASCAL VOC layout; .*Main/trainval.txt does not"):
        BoxedImages(tmp_path, split="trainval", detection=True, limit=None)
    write_detection(tmp_path, "trainval", {"a": []})
    (tmp_path / "Annotations/a.xml").write_text("no annotation")
    with pytest.raises(ValueError, match=r"a.xml: not a PASCAL VOC annotation"):
        boxes_of_xml(tmp_path / "Annotations/a.xml")
    (tmp_path / "Annotations/a.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"Annotations/a.xml does not exist"):
        BoxedImages(tmp_path, split="trainval", detection=True, limit=None)
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("\n")
    with pytest.raises(ValueError, match="names no image"):
        BoxedImages(tmp_path, split="trainval", detection=True, limit=None)
