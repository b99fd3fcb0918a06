"""From sets on disk to benchmark inputs."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.crops import view
from franca.eval.datasets import FolderImages, ParquetImages
from franca.eval.masked import SegmentationImages
from franca.eval.registry import BENCHMARKS
from franca.models.vit import build_vit
from franca.randomness import generator
from tests.franca.config.sections import EVALUATE
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
    with pytest.raises(ValueError, match="all splits must list the same classes"):
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


@pytest.mark.parametrize("memory_size", [None, 40])
def test_what_is_too_large_to_store_is_streamed_with_the_same_scores(store, tmp_path, memory_size):
    write_voc(tmp_path, {"train": 14, "val": 3})
    splits = [SegmentationImages(tmp_path, split=s, limit=None) for s in ("train", "val")]
    small = dataclasses.replace(store, max_bytes=100.0, folder=tmp_path / "streamed")
    stored, streamed = (
        one.segmentation(*splits, num_classes=3, ignore_index=255) for one in (store, small)
    )
    assert not (tmp_path / "streamed").exists()
    for name, benchmark in BENCHMARKS.items():
        if benchmark.kind != "segmentation":
            continue
        settings = dict(EVALUATE[name])
        if name == "in_context":
            settings["memory_size"] = memory_size
        if "penalties" in settings:
            settings["penalties"] = [0.1, 1.0]
        first, second = (
            benchmark.run(inputs, seed=0, device=torch.device("cpu"), **settings).evidence
            for inputs in (stored, streamed)
        )
        for key, values in first.items():
            np.testing.assert_array_equal(values, second[key], err_msg=f"{name} {key}")


@pytest.mark.parametrize("registers", [0, 3])
def test_a_model_in_the_loop_gives_the_tokens_that_are_stored(store, tmp_path, registers):
    write_voc(tmp_path, {"train": 2, "val": 3})
    splits = [SegmentationImages(tmp_path, split=s, limit=None) for s in ("train", "val")]
    model = build_vit(
        "vit_tiny", patch_size=4, image_size=16, registers=registers, generator=generator(0, "t")
    ).eval()
    whole = dataclasses.replace(store, model=model, patch_dtype="float32")
    settings = {"num_classes": 3, "ignore_index": 255}
    stored = whole.segmentation(*splits, **settings).test.patches
    inputs = whole.pictures(*splits, **settings)
    views = [view(picture, side=16, ignore_index=255) for picture in inputs.test]
    pixels, masks = (torch.stack(part) for part in zip(*views, strict=True))
    maps = inputs.encode(pixels, masks)
    assert maps.shape == (3, model.embed_dim, 4, 4)
    torch.testing.assert_close(maps.flatten(2).mT, stored, atol=1e-5, rtol=1e-4)
    assert inputs.encode(pixels[..., :13, :], masks[..., :13, :]).shape[2:] == (4, 4)  # padded
