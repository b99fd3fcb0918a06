"""Position probe against its written definition."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.position import BENCHMARK, position, positions
from franca.eval.resampling import point_estimate


def split(patches, grid):
    masks = torch.zeros(len(patches), 4, 4, dtype=torch.uint8)
    return DenseFeatures(patches=patches, grid=grid, masks=masks, depth=None, normals=None)


def run(train, test, grid):
    inputs = SegmentationInputs(
        train=split(train, grid), test=split(test, grid), num_classes=2, ignore_index=255
    )
    return position(inputs, seed=0, device=torch.device("cpu")).evidence


def r2(evidence, variant=""):
    return point_estimate(BENCHMARK.spec("r2").statistic, evidence["squares" + variant])


@pytest.mark.parametrize(
    ("case", "grid", "train"), [("main", (6, 6), 10), ("one_image", (4, 4), 1)]
)
def test_matches_the_oracle(oracle, case, grid, train):
    arrays = oracle("position")
    features = torch.from_numpy(arrays[f"in/{case}/features"])
    evidence = run(features[:train], features[train:], grid)
    expected_r2 = arrays[f"out/{case}/heldout_r2_row_col"]
    assert r2(evidence, "@row") == pytest.approx(expected_r2[0], abs=1e-8)
    assert r2(evidence, "@column") == pytest.approx(expected_r2[1], abs=1e-8)
    assert r2(evidence) == pytest.approx(expected_r2.mean(), abs=1e-8)
    tokens = features[train:].shape[:2].numel()
    found, chance = evidence["squares"].sum(0) / tokens
    np.testing.assert_allclose(found, arrays[f"out/{case}/heldout_mse_row_col"], atol=1e-8)
    np.testing.assert_allclose(chance, arrays[f"out/{case}/chance_mse_row_col"], atol=1e-8)
    assert evidence["squared_error"].mean() == pytest.approx(found.mean(), abs=1e-12)
    assert evidence["squared_error@chance"].mean() == pytest.approx(chance.mean(), abs=1e-12)


def test_features_that_are_positions_give_one():
    place = positions((5, 3)).float().expand(4, -1, -1)
    assert r2(run(place, place, (5, 3))) == pytest.approx(1.0)


def test_constant_features_give_chance():
    constant = torch.ones(4, 15, 8)
    evidence = run(constant, constant, (5, 3))
    assert r2(evidence) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(evidence["squared_error"], evidence["squared_error@chance"])


def test_rotation_and_order_of_images_change_nothing():
    source = torch.Generator().manual_seed(0)
    train, test = (torch.randn(n, 15, 6, generator=source) for n in (20, 5))
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=source)).Q
    before = run(train, test, (5, 3))
    after = run(train.flip(0) @ rotation, test @ rotation, (5, 3))
    np.testing.assert_allclose(before["squares"], after["squares"], rtol=1e-5)


def test_direction_removed_exactly_leaves_no_position():
    """What RASA does: the plane that holds the place goes, rounding in half precision stays."""
    source = torch.Generator().manual_seed(0)
    features = torch.randn(30, 25, 6, generator=source)
    features[:, :, :2] = positions((5, 5)).float()
    assert r2(run(features[:20], features[20:], (5, 5))) == pytest.approx(1.0)
    features[:, :, :2] = 0.5
    removed = features.half()
    assert r2(run(removed[:20], removed[20:], (5, 5))) < 0.05
