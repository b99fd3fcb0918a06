"""Collation: views in the reference's order, and normalisation to its digits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from franca.data.collate import MultiCropBatch, normalise, stack_views, write_image

ORACLES = Path(__file__).parents[2] / "oracles"


@pytest.mark.parametrize("case", ["franca", "dinov2", "none"])
@pytest.mark.parametrize("kind", ["global", "local"])
def test_views_are_stacked_in_the_references_order(case, kind):
    """The reference stacks floats of one channel; their ranks stand for the levels here."""
    oracle = np.load(ORACLES / "masks.npz", allow_pickle=False)
    crops = oracle[f"in/collate/{case}/{kind}_crops"]
    levels = np.unique(crops)
    rows = np.searchsorted(levels, crops).astype(np.uint8).transpose(0, 1, 3, 4, 2)
    stacked = stack_views([[np.repeat(view, 3, axis=2) for view in image] for image in rows])
    expected = np.searchsorted(levels, oracle[f"out/collate/{case}/collated_{kind}_crops"])
    assert np.array_equal(stacked[:, :1], expected)


def test_normalised_levels_are_the_references():
    oracle = np.load(ORACLES / "aug.npz", allow_pickle=False)
    image = torch.from_numpy(oracle["in/ops/image"]).permute(2, 0, 1)
    normalised = normalise(image)
    np.testing.assert_allclose(normalised, oracle["out/ops/normalized"], atol=1e-6)
    assert normalised.is_contiguous()


def test_normalise_leaves_its_input_and_takes_batches():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    before = images.clone()
    rows = torch.stack([normalise(image) for image in images])
    assert torch.equal(normalise(images), rows)
    assert torch.equal(images, before)


def test_a_batch_moves_whole():
    batch = MultiCropBatch(
        global_crops=torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        local_crops=torch.zeros(0, 3, 4, 4, dtype=torch.uint8),
        keys=("a", "b"),
    )
    moved = batch.to(torch.device("meta"))
    assert (moved.global_crops.device.type, moved.local_crops.device.type) == ("meta", "meta")
    assert moved.keys == ("a", "b")
    assert moved.global_crops.shape == batch.global_crops.shape


def test_writing_an_image_changes_its_rows_alone():
    rng = np.random.default_rng(0)
    images = [
        [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (8, 8, 4, 4, 4)]
        for _ in range(4)
    ]
    *kept, new = images

    def batch(chosen):
        return MultiCropBatch(
            global_crops=stack_views([image[:2] for image in chosen]),
            local_crops=stack_views([image[2:] for image in chosen]),
            keys=("a", "b", "c"),
        )

    written = batch(kept)
    write_image(written, new, image=1)
    expected = batch([kept[0], new, kept[2]])
    assert torch.equal(written.global_crops, expected.global_crops)
    assert torch.equal(written.local_crops, expected.local_crops)
