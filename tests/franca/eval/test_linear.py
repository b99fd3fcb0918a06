"""The linear probe: on-line and cached are one, and the head is chosen as it says."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.datasets import ParquetImages
from franca.eval.inputs.probe import probe_inputs
from franca.eval.linear import cached_stream, linear, linear_cached, probe_heads
from franca.eval.transforms import RandomCrop
from tests.franca.eval.worlds import write_parquet

CPU = torch.device("cpu")
SETTINGS = {
    "blocks": [1, 2],
    "learning_rates": [0.01, 0.1, 1.0],
    "steps": 12,
    "batch_size": 8,
    "momentum": 0.9,
    "held_out": 0.2,
}


def toy_inputs():
    source = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(3, 6, generator=source)
    parts = []
    for count in (100, 30):
        labels = torch.randint(3, (count,), generator=source)
        cls = centres[labels] + torch.randn(count, 6, generator=source)
        blocks = torch.stack([torch.randn(count, 6, generator=source), cls], dim=1)
        parts.append(ImageFeatures(cls_blocks=blocks, mean_patch=-cls, labels=labels))
    return ClassificationInputs(train=parts[0], test=parts[1], num_classes=3)


def run(inputs, rates, seed=0, held_out=0.1):
    return linear_cached(
        inputs,
        seed=seed,
        device=torch.device("cpu"),
        blocks=[1, 2],
        learning_rates=rates,
        steps=40,
        batch_size=32,
        momentum=0.9,
        held_out=held_out,
    )


def test_official_grid_keeps_all_its_heads():
    """Two learning rates print alike, and the official code loses four of its 52 heads."""
    rates = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1]
    assert run(toy_inputs(), rates).details["heads"] == 52


def test_head_chosen_without_the_test_images_never_beats_the_best():
    outcome = run(toy_inputs(), [1e-6, 0.3])
    assert outcome.evidence["correct"].mean() > 0.8
    assert outcome.evidence["correct@best"].sum() >= outcome.evidence["correct"].sum()
    assert outcome.details["chosen"].endswith("rate 0.3")


def test_same_seed_same_heads():
    first, second, other = (run(toy_inputs(), [0.01], seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.evidence["correct"], second.evidence["correct"])
    assert first.details == second.details
    assert other.details["heads"] == 4


def test_without_held_out_images_the_scored_ones_choose_as_in_the_official_code():
    heads = probe_heads(
        cached_stream(toy_inputs()), seed=0, device=CPU, crop_scale=None, flip=0.0,
        **(SETTINGS | {"held_out": 0.0}),
    )  # fmt: skip
    assert set(heads) == {"best"}
    outcome = run(toy_inputs(), [1e-6, 0.3], held_out=0.0)
    assert set(outcome.evidence) == {"correct"}
    assert outcome.details["chosen"] == outcome.details["best"]


def test_stored_features_cannot_be_augmented():
    augment = RandomCrop(scale=(0.5, 1.0), flip=0.5, seed=0)
    with pytest.raises(ValueError, match="set crop_scale to null"):
        next(cached_stream(toy_inputs()).stream([torch.arange(2)], augment))


@pytest.fixture
def splits(tmp_path):
    write_parquet(tmp_path, "train", list(range(3)) * 10, seed=1)
    write_parquet(tmp_path, "val", list(range(3)) * 4, seed=2)
    return [ParquetImages(tmp_path, split=split, limit=None) for split in ("train", "val")]


def heads_of(inputs, **changes):
    settings = SETTINGS | {"crop_scale": None, "flip": 0.0} | changes
    return probe_heads(inputs, seed=0, device=CPU, **settings)


def test_on_line_without_augmentation_and_cached_train_the_same_heads(store, splits):
    train, val = splits
    online = heads_of(probe_inputs(store, train, val, val, accepted=None))
    cached = heads_of(cached_stream(store.classification(train, val)))
    for name in ("chosen", "best"):
        assert str(online[name]) == str(cached[name])
        torch.testing.assert_close(online[name].weights, cached[name].weights)
        torch.testing.assert_close(online[name].bias, cached[name].bias)


def test_crops_change_the_heads_and_a_second_benchmark_finds_them(store, splits):
    train, val = splits
    inputs = probe_inputs(store, train, val, val, accepted=None)
    plain = heads_of(inputs)
    cropped = heads_of(inputs, crop_scale=(0.3, 1.0), flip=0.5)
    assert not torch.allclose(plain["best"].bias, cropped["best"].bias)
    passes = store.model.passes
    again = probe_inputs(store, train, val, val, accepted=None)
    found = heads_of(again, crop_scale=(0.3, 1.0), flip=0.5)
    torch.testing.assert_close(found["best"].weights, cropped["best"].weights, rtol=0, atol=0)
    outcome = linear(again, seed=0, device=CPU, crop_scale=(0.3, 1.0), flip=0.5, **SETTINGS)
    assert outcome.details["heads"] == 12
    assert store.model.passes == passes


def test_decoding_processes_change_nothing(store, splits):
    import dataclasses

    train, _ = splits
    augment = RandomCrop(scale=(0.3, 1.0), flip=0.5, seed=0)
    rows = [torch.tensor([3, 0, 7]), torch.tensor([3, 1])]
    found = []
    for workers in (0, 2):
        part = dataclasses.replace(store, num_workers=workers)
        stream = probe_inputs(part, *[train] * 3, accepted=None).stream(rows, augment)
        found.append(list(stream))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first.cls_blocks, second.cls_blocks, rtol=0, atol=0)
        assert first.labels.tolist() == second.labels.tolist()
    first, second = found[0]
    assert not torch.equal(first.cls_blocks[0], second.cls_blocks[0])  # image 3, another crop
