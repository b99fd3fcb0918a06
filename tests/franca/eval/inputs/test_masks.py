"""Small sets in the layouts of their authors, with files that are real images and masks."""

import json

import numpy as np
import pytest
from PIL import Image

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.inputs.masks import MASK_LAYOUTS
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.masked import SegmentationImages


def write_image(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


def write_ade20k(root, *, masks):
    for number, mask in enumerate(masks):
        write_image(root / f"images/validation/{number}.jpg", np.zeros((*np.shape(mask), 3)))
        write_image(root / f"annotations/validation/{number}.png", mask)


CATEGORIES = [
    {"id": 1, "supercategory": "vehicle", "isthing": 1},
    {"id": 2, "supercategory": "animal", "isthing": 1},
    {"id": 93, "supercategory": "animal-stuff", "isthing": 0},
]


def write_coco(root, *, segments, numbers):
    """One image; `segments`: number -> category, `numbers`: of the segment of every pixel."""
    numbers = np.array(numbers)
    colours = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1)
    write_image(root / "val2017/7.jpg", np.zeros_like(colours))
    write_image(root / "annotations/panoptic_val2017/7.png", colours)
    rows = [{"id": number, "category_id": category} for number, category in segments.items()]
    panoptic = {
        "categories": CATEGORIES,
        "annotations": [{"file_name": "7.png", "segments_info": rows}],
    }
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(panoptic))


def opened(layout, root, split, limit=None):
    return SegmentationImages(root, split=split, limit=limit, layout=MASK_LAYOUTS[layout])


def test_ade20k_has_150_classes_or_one_more(tmp_path):
    write_ade20k(tmp_path, masks=[[[0, 1], [2, 150]], [[0, 0], [0, 3]]])
    reduced = opened("ade20k", tmp_path, "validation")
    assert reduced.full_mask(0).tolist() == [[255, 0], [1, 149]]
    other = opened("ade20k_other", tmp_path, "validation")
    assert other.full_mask(0).tolist() == [[0, 1], [2, 150]]
    assert (
        reduced.mask(0, side=4).tolist() == np.kron([[255, 0], [1, 149]], np.ones((2, 2))).tolist()
    )
    # The files are the same; what is read from them is not, nor may results be paired.
    assert reduced.digest != other.digest
    assert len(opened("ade20k", tmp_path, "validation", limit=1)) == 1


def test_coco_things_are_supercategories_of_segments_and_stuff_is_void(tmp_path):
    write_coco(
        tmp_path, segments={5: 1, 256 * 9 + 5: 2, 70000: 93}, numbers=[[5, 2309], [70000, 0]]
    )
    images = opened("coco_things", tmp_path, "val2017")
    assert images.full_mask(0).tolist() == [[1, 0], [255, 255]]  # animal before vehicle
    assert images.picture(0).mask.shape == (2, 2)


def test_coco_stuff_numbers_its_supercategories(tmp_path):
    rows = [(92, "textile"), (93, "building"), (94, "textile"), (183, "other")]
    write_image(tmp_path / "train2017/1.jpg", np.zeros((1, 5, 3)))
    pixels = [[0, 92, 93, 94, 183]]
    write_image(tmp_path / "annotations/stuff_train2017_pixelmaps/1.png", pixels)
    categories = [{"id": number, "supercategory": name} for number, name in rows]
    table = json.dumps({"categories": categories})
    (tmp_path / "annotations/stuff_val2017.json").write_text(table)
    images = opened("coco_stuff", tmp_path, "train2017")
    assert images.full_mask(0).tolist() == [[255, 1, 0, 1, 255]]


def test_cityscapes_scores_19_of_its_labels(tmp_path):
    write_image(tmp_path / "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png", np.zeros((1, 4, 3)))
    write_image(tmp_path / "gtFine/val/ulm/ulm_0_gtFine_labelIds.png", [[7, 33, 9, 26]])
    assert opened("cityscapes", tmp_path, "val").full_mask(0).tolist() == [[0, 18, 255, 13]]


@pytest.mark.parametrize(
    ("layout", "split", "missing"),
    [
        ("ade20k", "validation", "images/validation"),
        ("cityscapes", "val", "leftImg8bit/val"),
        ("coco_stuff", "val2017", "annotations/stuff_val2017.json"),
        ("coco_things", "val2017", "annotations/panoptic_val2017.json"),
    ],
)
def test_a_missing_set_is_named_with_what_was_expected(tmp_path, layout, split, missing):
    with pytest.raises(FileNotFoundError) as failure:
        opened(layout, tmp_path, split)
    message = str(failure.value)
    assert message == (
        f"expected {MASK_LAYOUTS[layout].expected}; {tmp_path / missing} does not exist"
    )


def test_missing_and_damaged_masks_are_named(tmp_path):
    write_ade20k(tmp_path, masks=[[[1]]])
    mask = tmp_path / "annotations/validation/0.png"
    mask.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"0.png: not a readable mask .*restore the file"):
        opened("ade20k", tmp_path, "validation").full_mask(0)
    write_image(mask, np.zeros((1, 1, 3)))
    with pytest.raises(ValueError, match=r"0.png: expected an indexed or grey PNG"):
        opened("ade20k", tmp_path, "validation").full_mask(0)
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r"ADEChallengeData2016.*0.png does not exist"):
        opened("ade20k", tmp_path, "validation")
    (tmp_path / "images/validation/0.jpg").unlink()
    with pytest.raises(ValueError, match=r"'validation' names no image"):
        opened("ade20k", tmp_path, "validation")


def test_a_copy_that_lacks_images_is_refused(store, tmp_path):
    write_ade20k(tmp_path, masks=[[[1]], [[2]]])
    declared = EvaluationSet(
        kind="segmentation", format="ade20k", root=str(tmp_path), train_split="training",
        test_split="validation", num_test=3, num_classes=150, ignore_index=255, licence="x",
    )  # fmt: skip
    sets = EvaluationSets(all={"ade": declared}, scenes=tmp_path, store=store)
    with pytest.raises(ValueError, match=r"'validation', has 2 images and not the 3 declared"):
        sets.segmented("ade", test=True)
