"""From sets on disk to benchmark inputs."""

import numpy as np
import pytest
import torch

from franca.eval.datasets import FolderImages, ParquetImages, SegmentationImages
from tests.franca.eval.worlds import write_folder, write_parquet, write_voc


def test_classification(store, tmp_path):
    write_parquet(tmp_path, "train", [0, 1, 2, 1], seed=1)
    write_parquet(tmp_path, "val", [2, 0], seed=2)
    splits = [ParquetImages(tmp_path, split=name, limit=None) for name in ("train", "val")]
    inputs = store.classification(*splits)
    assert inputs.num_classes == 3
    assert inputs.train.labels.tolist() == [0, 1, 2, 1]
    assert inputs.test.cls_blocks.shape == (2, 2, 48)
    assert torch.equal(inputs.test.cls, inputs.test.cls_blocks[:, 1])
    assert torch.equal(store.cls_tokens(splits[1]), inputs.test.cls)


def test_splits_with_other_classes_are_refused(store, tmp_path):
    write_folder(tmp_path, "train", {"a": 1, "b": 1})
    write_folder(tmp_path, "val", {"a": 1, "c": 1})
    splits = [FolderImages(tmp_path, split=name, limit=None) for name in ("train", "val")]
    with pytest.raises(ValueError, match="both splits must list the same classes"):
        store.classification(*splits)


def test_segmentation_and_samples(store, tmp_path):
    write_voc(tmp_path, {"train": 3, "val": 5})
    train, test = (SegmentationImages(tmp_path, split=s, limit=None) for s in ("train", "val"))
    inputs = store.segmentation(train, test, num_classes=3, ignore_index=255)
    assert inputs.test.grid == (4, 4)
    assert inputs.test.patches.shape == (5, 16, 48)
    assert inputs.train.masks.shape == (3, 16, 16)
    assert inputs.train.depth.shape == (3, 16)
    assert inputs.test.normals.shape == (5, 16, 3)
    samples = store.samples(test, [0, 2, 4])
    assert samples["images"].shape == (3, 16, 16, 3)
    assert samples["grid"].tolist() == [4, 4]
    for row, index in enumerate([0, 2, 4]):
        np.testing.assert_array_equal(samples["masks"][row], inputs.test.masks[index])
        np.testing.assert_array_equal(samples["patches"][row], inputs.test.patches[index])


def test_announced_sizes_are_those_on_disk(store, tmp_path):
    write_voc(tmp_path / "voc", {"train": 3, "val": 5})
    write_folder(tmp_path / "objects", "val", {"a": 4, "b": 3})
    dense = SegmentationImages(tmp_path / "voc", split="val", limit=None)
    store.samples(dense, [0])
    store.cls_tokens(FolderImages(tmp_path / "objects", split="val", limit=None))
    stored = sorted(
        sum(np.load(array, mmap_mode="r").nbytes for array in folder.glob("*.npy"))
        for folder in store.folder.iterdir()
    )
    assert stored == sorted([store.dense_bytes(5), store.image_bytes(7)])
