"""Every layout of evaluation sets is indexed, or the stage stops."""

import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from data_filters.dedup.evaluation import LAYOUTS, evaluation_images


@dataclass(frozen=True)
class Declared:
    root: str
    format: str
    kind: str = "classification"
    test_split: str = "val"


def places(root, layout, splits="held_out", **options):
    declared = Declared(str(root), layout)
    images = evaluation_images("set", declared, scenes=root, splits=splits, **options)
    return [image.place for image in images]


def write(root, names, data):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data) if isinstance(data, bytes) else path.write_text(data)


def test_parquet(huggingface_parquet, jpeg):
    root = huggingface_parquet("train-00000-of-00001.parquet", [jpeg(0)], [0]).parent
    huggingface_parquet("val-00000-of-00001.parquet", [jpeg(1), jpeg(2)], [1, 2])
    held_out = [f"val-00000-of-00001.parquet#{row}" for row in range(2)]
    assert places(root, "parquet") == held_out
    assert places(root, "parquet", "all") == ["train-00000-of-00001.parquet#0", *held_out]
    declared = Declared(str(root), "parquet")
    images = evaluation_images("set", declared, scenes=root, splits="held_out")
    assert [image.data for image in images] == [jpeg(1), jpeg(2)]


def test_folders(tmp_path):
    write(tmp_path, ["train/a/1.JPEG", "val/a/2.jpg", "val/b/3.png", "val/notes.txt"], b"x")
    assert places(tmp_path, "folder") == ["val/a/2.jpg", "val/b/3.png"]
    assert places(tmp_path, "folder", "all") == ["train/a/1.JPEG", "val/a/2.jpg", "val/b/3.png"]


def test_voc(tmp_path):
    write(tmp_path, [f"JPEGImages/{name}.jpg" for name in "abc"], b"x")
    for split, names in {"train": "a\n", "trainval": "a\nb\n", "val": "b\n", "test": "c\n"}.items():
        write(tmp_path, [f"ImageSets/Segmentation/{split}.txt"], names)
    assert places(tmp_path, "voc") == ["JPEGImages/b.jpg", "JPEGImages/c.jpg"]
    assert len(places(tmp_path, "voc", "all")) == 3


def test_voc_names_may_have_folders(tmp_path):
    write(tmp_path, ["JPEGImages/kitchen/1.jpg", "JPEGImages/bath/1.jpg"], b"x")
    write(tmp_path, ["ImageSets/Segmentation/test.txt"], "kitchen/1\n")
    assert places(tmp_path, "voc") == ["JPEGImages/kitchen/1.jpg"]


@pytest.mark.parametrize(
    ("layout", "training", "held_out", "mask"),
    [
        (
            "ade20k",
            "images/training/1.jpg",
            "images/validation/1.jpg",
            "annotations/training/1.png",
        ),
        ("coco_things", "train2017/1.jpg", "val2017/1.jpg", "annotations/panoptic_val2017/1.png"),
        (
            "cityscapes",
            "leftImg8bit/train/ulm/1.png",
            "leftImg8bit/val/bern/1.png",
            "gtFine/val/bern/1.png",
        ),
    ],
)
def test_parts_of_segmentation_sets(tmp_path, layout, training, held_out, mask):
    write(tmp_path, [training, held_out, mask], b"x")
    assert places(tmp_path, layout) == [held_out]
    assert places(tmp_path, layout, "all") == sorted([training, held_out])


@pytest.mark.parametrize(
    ("layout", "images", "depth"),
    [
        ("views", "scene-000/images/000.png", "scene-000/depth/000.npy"),
        ("navi", "shoe/wild_set/images/downsampled_000.jpg", "shoe/wild_set/depth/000.png"),
        ("scannet", "scene0707_00/color/15.jpg", "scene0707_00/depth/15.png"),
    ],
)
def test_pictures_of_depth_are_no_images(tmp_path, layout, images, depth):
    write(tmp_path, [images, depth], b"x")
    assert places(tmp_path, layout) == [images]


def test_davis(tmp_path):
    write(
        tmp_path,
        [f"JPEGImages/480p/{s}/0000{n}.jpg" for s in ("bear", "car") for n in (0, 1)],
        b"x",
    )
    write(tmp_path, ["ImageSets/2017/train.txt"], "bear\n")
    write(tmp_path, ["ImageSets/2017/val.txt"], "car\n")
    assert places(tmp_path, "davis") == [f"JPEGImages/480p/car/0000{n}.jpg" for n in (0, 1)]
    assert len(places(tmp_path, "davis", "all")) == 4


def test_pairs(tmp_path):
    pairs = [{"source": "JPEGImages/b.jpg", "target": "JPEGImages/a.jpg"}] * 2
    write(tmp_path, ["pairs.json"], json.dumps(pairs))
    write(tmp_path, ["JPEGImages/a.jpg", "JPEGImages/b.jpg"], b"x")
    assert places(tmp_path, "pairs") == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]


def test_openood_without_the_known_images(tmp_path):
    names = ["images_largescale/ninco/a.jpg", "images_classic/texture/b.jpg"]
    write(tmp_path, ["images_largescale/imagenet_1k/val/c.jpg", *names], b"x")
    assert places(tmp_path, "openood") == names


@pytest.mark.parametrize("layout", ["food101", "cub200", "revisited"])
def test_layouts_whose_splits_are_lists_are_indexed_in_full(tmp_path, layout):
    write(tmp_path, ["images/a/1.jpg", "jpg/2.jpg", "images.txt"], b"x")
    assert places(tmp_path, layout) == ["images/a/1.jpg", "jpg/2.jpg"]


def test_the_rows_of_cifar_become_images(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(2, 32, 32, 3), dtype=np.uint8)
    planes = pixels.transpose(0, 3, 1, 2).reshape(2, -1)
    for name, label_bytes in (("data_batch_1.bin", 1), ("test_batch.bin", 1)):
        labels = np.zeros((2, label_bytes), dtype=np.uint8)
        write(tmp_path, [name], np.concatenate([labels, planes], axis=1).tobytes())
    assert places(tmp_path, "cifar10") == ["test_batch.bin#0", "test_batch.bin#1"]
    assert len(places(tmp_path, "cifar10", "all")) == 4
    declared = Declared(str(tmp_path), "cifar10")
    found = list(evaluation_images("set", declared, scenes=tmp_path, splits="held_out"))
    with Image.open(io.BytesIO(found[1].data)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[1])


def test_a_training_split_that_is_scored_is_held_out(tmp_path):
    write(tmp_path, ["train/a/1.jpg", "val/a/2.jpg"], b"x")
    declared = Declared(str(tmp_path), "folder", test_split="train")
    images = evaluation_images("set", declared, scenes=tmp_path, splits="held_out")
    assert [image.place for image in images] == ["train/a/1.jpg", "val/a/2.jpg"]


def test_the_embedded_world_is_a_placeholder(tmp_path):
    write(tmp_path, ["inner/1.jpg"], b"x")
    declared = Declared("{scenes}/inner", "folder")
    (image,) = evaluation_images("set", declared, scenes=tmp_path, splits="held_out")
    assert image.place == "1.jpg"


def test_what_cannot_be_indexed_stops_the_stage(tmp_path):
    with pytest.raises(ValueError, match=r"evaluation_sets\.set\.format: 'zip' cannot be indexed"):
        places(tmp_path, "zip")
    with pytest.raises(FileNotFoundError, match=r"evaluation_sets\.set\.root: no folder '.*gone'"):
        places(tmp_path / "gone", "voc")
    for layout in set(LAYOUTS) - {"pairs"}:
        with pytest.raises(ValueError, match="no image found in"):
            places(tmp_path, layout)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "layout", "held_out", "total"),
    [
        ("camvid", "voc", 101, 468),
        ("davis", "davis", 40, 40),
        ("tiny_imagenet_50", "parquet", 2500, 27_500),
    ],
)
def test_real_sets(shared_data, name, layout, held_out, total):
    assert len(places(shared_data / name, layout)) == held_out
    if total < 1000:
        assert len(places(shared_data / name, layout, "all")) == total
