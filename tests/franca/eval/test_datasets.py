"""Layouts on disk: what is read, what is refused and in which words."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from franca.eval.datasets import (
    FolderImages,
    ListedImages,
    ParquetImages,
    choose,
)
from franca.eval.inputs.layouts import open_labelled
from franca.eval.masked import SegmentationImages
from tests.franca.eval.worlds import CLASSES, write_folder, write_parquet

SHARED = Path(__file__).parents[4] / "shared" / "data"


def same(image, other):
    return np.array_equal(np.array(image), np.array(other))


def test_parquet_in_any_order_of_access(tmp_path):
    first = write_parquet(tmp_path, "train", [0, 1, 2, 0, 1], part="00000-of-00002", seed=1)
    second = write_parquet(tmp_path, "train", [2, 2, 1], part="00001-of-00002", seed=2)
    write_parquet(tmp_path, "val", [0])
    images = ParquetImages(tmp_path, split="train", limit=None)
    assert images.names == CLASSES
    assert images.labels.tolist() == [0, 1, 2, 0, 1, 2, 2, 1]
    for index in (7, 0, 4, 5, 3):
        assert same(images.image(index), (first + second)[index])
    assert same(pickle.loads(pickle.dumps(images)).image(6), second[1])  # for decoding processes


def test_limit_takes_the_same_images_in_order(tmp_path):
    pictures = write_parquet(tmp_path, "val", list(range(3)) * 4)
    images = ParquetImages(tmp_path, split="val", limit=5)
    again = ParquetImages(tmp_path, split="val", limit=5)
    chosen = choose(12, 5)
    assert len(images) == len(again) == 5
    assert images.digest == again.digest
    assert images.digest != ParquetImages(tmp_path, split="val", limit=None).digest
    assert np.all(np.diff(chosen) > 0)
    for index, row in enumerate(chosen):
        assert images.labels[index] == row % 3
        assert same(images.image(index), pictures[row])


def test_digest_follows_content_and_labels(tmp_path):
    digests = set()
    for number, (labels, seed) in enumerate([([0, 1], 0), ([0, 1], 1), ([1, 0], 0)]):
        write_parquet(tmp_path / str(number), "val", labels, seed=seed)
        digests.add(ParquetImages(tmp_path / str(number), split="val", limit=None).digest)
    assert len(digests) == 3
    write_parquet(tmp_path / "elsewhere", "val", [0, 1], seed=0)
    assert ParquetImages(tmp_path / "elsewhere", split="val", limit=None).digest in digests


def test_folder_classes_are_sorted_and_numbers_by_value(tmp_path):
    write_folder(tmp_path, "val", {"10": 1, "9": 2})
    images = FolderImages(tmp_path, split="val", limit=None)
    assert images.names == ("9", "10")
    assert images.labels.tolist() == [0, 0, 1]
    assert images.image(2).size == (16, 16)
    write_folder(tmp_path, "train", {"10": 1, "9": 1, "n01": 1})
    named = FolderImages(tmp_path, split="train", limit=2)
    assert named.names == ("10", "9", "n01")
    assert len(named) == len(named.labels) == 2
    assert named.digest != images.digest


def test_missing_sets_say_what_was_expected_and_where(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"val-\*.parquet with columns image"):
        ParquetImages(tmp_path, split="val", limit=None)
    with pytest.raises(FileNotFoundError, match=r"val/<class>/<image>; found none"):
        FolderImages(tmp_path, split="val", limit=None)


def test_openood_lists_find_images_in_either_folder(tmp_path):
    listing = tmp_path / "benchmark_imglist/imagenet/test_odd.txt"
    with pytest.raises(FileNotFoundError, match=r"OpenOOD; .*test_odd.txt does not exist"):
        ListedImages(tmp_path, split="odd", limit=None)
    listing.parent.mkdir(parents=True)
    listing.write_text("\n")
    with pytest.raises(ValueError, match=r"test_odd.txt: names no image"):
        ListedImages(tmp_path, split="odd", limit=None)
    listing.write_text("odd/a/0.png -1\nodd/two words/0.png -1\n")
    with pytest.raises(FileNotFoundError, match=r"images_largescale/odd/a/0.png does not exist"):
        ListedImages(tmp_path, split="odd", limit=None)
    write_folder(tmp_path / "images_largescale", "odd", {"a": 1})
    write_folder(tmp_path / "images_classic", "odd", {"two words": 1}, seed=1)
    images = open_labelled("openood", tmp_path, split="odd", limit=None)
    assert len(images) == len(images.labels) == 2
    assert [images.image(i).size for i in range(2)] == [(16, 16)] * 2
    assert images.digest != ListedImages(tmp_path, split="odd", limit=1).digest


def test_wrong_layouts_are_refused(tmp_path):
    write_parquet(tmp_path / "negative", "val", [0, -1])
    with pytest.raises(ValueError, match="labels outside the 3 named classes"):
        ParquetImages(tmp_path / "negative", split="val", limit=None)
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "plain").mkdir()
    pq.write_table(pa.table({"label": [0]}), tmp_path / "plain" / "val-0.parquet")
    with pytest.raises(ValueError, match="ClassLabel names"):
        ParquetImages(tmp_path / "plain", split="val", limit=None)
    with pytest.raises(ValueError, match=r"'voc' is not a classification layout"):
        open_labelled("voc", tmp_path, split="val", limit=None)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real images beside the project")
def test_real_sets_open():
    tiny = ParquetImages(SHARED / "tiny_imagenet_50", split="val", limit=None)
    assert (len(tiny), len(tiny.names), tiny.image(2499).size) == (2500, 50, (64, 64))
    classes = {"num_classes": 11, "ignore_index": 255}
    camvid = SegmentationImages(SHARED / "camvid", split="val", limit=None, **classes)
    assert (len(camvid), camvid.has_depth) == (101, False)
    assert set(np.unique(camvid.mask(0, side=128))) <= {*range(11), 255}
    sample = FolderImages(SHARED / "imagenet_sample", split="train", limit=None)
    assert (len(sample), len(sample.names)) == (1000, 1000)
