"""Depth metrics against Probe3D, and the ridge probe."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.depth import depth, depth_errors, match_scale_shift

NAMES = {"d1": "delta1", "d2": "delta2", "d3": "delta3", "rmse": "rmse"}


@pytest.mark.parametrize("case", ["main", "empty_first_image"])
@pytest.mark.parametrize("kind", ["plain", "scale_shift_matched"])
def test_matches_probe3d(oracle, case, kind):
    arrays = oracle("probe3d")
    guess, truth = (
        torch.from_numpy(arrays[f"in/depth/{case}/{name}"]).flatten(1) for name in ("pred", "gt")
    )
    if kind == "scale_shift_matched":
        guess = match_scale_shift(guess, truth)
    found = depth_errors(guess, truth)
    empty = ~(truth > 0).any(1).numpy()
    for theirs, ours in NAMES.items():
        expected = arrays[f"out/depth/{case}/{kind}/{theirs}"]
        np.testing.assert_allclose(found[ours][~empty], expected[~empty], atol=1e-5, rtol=1e-4)
        # The reference scores an image without depth as 0, a perfect error; here it is left out.
        assert np.isnan(found[ours][empty]).all()


def test_negative_guess_is_never_close():
    errors = depth_errors(torch.tensor([[-2.0, 2.0]]), torch.tensor([[2.0, 2.0]]))
    assert errors["delta3"].tolist() == [0.5]


def test_scale_and_shift_are_undone_and_a_constant_is_shifted():
    truth = torch.tensor([[1.0, 2.0, 4.0, 0.0]])
    torch.testing.assert_close(
        match_scale_shift(3 - 0.5 * truth, truth)[:, :3], truth[:, :3].double()
    )
    constant = match_scale_shift(torch.ones(1, 4), truth)
    torch.testing.assert_close(constant, torch.full((1, 4), 7 / 3).double())


def split(patches, target):
    masks = torch.zeros(len(patches), 4, 4, dtype=torch.uint8)
    return DenseFeatures(patches=patches, grid=(4, 4), masks=masks, depth=target, normals=None)


def run(train, test):
    inputs = SegmentationInputs(train=train, test=test, num_classes=2, ignore_index=255)
    return depth(inputs, seed=0, device=torch.device("cpu"), penalties=[1e-6, 1e-3, 1.0])


def toy(images, seed):
    source = torch.Generator().manual_seed(seed)
    patches = torch.randn(images, 16, 6, generator=source)
    return split(patches, (1.0 + 0.2 * patches[..., 0]).exp())


def test_log_linear_depth_is_read_off():
    outcome = run(toy(30, 0), toy(6, 1))
    assert outcome.evidence["delta1"].mean() > 0.99
    assert outcome.details["penalty"] == 1e-6


def test_constant_features_predict_one_depth_and_no_nan():
    train, test = toy(30, 0), toy(6, 1)
    constant = run(
        split(torch.ones(30, 16, 3), train.depth), split(torch.ones(6, 16, 3), test.depth)
    )
    assert np.isfinite(constant.evidence["rmse"]).all()
    informed = run(train, test).evidence["rmse"]
    assert constant.evidence["rmse"].mean() > 3 * informed.mean()


def test_invalid_patches_play_no_part():
    train, test = toy(30, 0), toy(6, 1)
    holes = train.depth.clone()
    holes[:, :3] = torch.nan
    noisy = train.patches.clone()
    noisy[:, :3] = 1e3
    clean = split(train.patches, holes)
    first, second = run(clean, test), run(split(noisy, holes), test)
    np.testing.assert_array_equal(first.evidence["rmse"], second.evidence["rmse"])


def test_set_without_depth_is_refused():
    with pytest.raises(ValueError, match="Depth folder"):
        run(split(torch.ones(2, 16, 3), None), toy(2, 0))
