"""Normal metrics against Probe3D, and the ridge probe."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.normals import normal_errors, normals

NAMES = {"d1": "within11", "d2": "within22", "d3": "within30", "rmse": "rmse"}


@pytest.mark.parametrize("case", ["main", "nothing_valid"])
def test_matches_probe3d(oracle, case):
    arrays = oracle("probe3d")
    guess = torch.from_numpy(arrays[f"in/normals/{case}/pred"])[:, :3].flatten(2).mT
    truth = torch.from_numpy(arrays[f"in/normals/{case}/gt"]).flatten(2).mT
    valid = torch.from_numpy(arrays[f"in/normals/{case}/valid"]).flatten(1)
    found = normal_errors(guess, truth.masked_fill(~valid[..., None], torch.nan))
    empty = ~valid.any(1).numpy()
    for theirs, ours in NAMES.items():
        expected = arrays[f"out/normals/{case}/{theirs}"]
        np.testing.assert_allclose(found[ours][~empty], expected[~empty], atol=1e-5, rtol=1e-4)
        # The reference scores an image without normals as 0, a perfect error; here it is left out.
        assert np.isnan(found[ours][empty]).all()


def split(patches, target):
    masks = torch.zeros(len(patches), 4, 4, dtype=torch.uint8)
    return DenseFeatures(patches=patches, grid=(4, 4), masks=masks, depth=None, normals=target)


def run(train, test):
    inputs = SegmentationInputs(train=train, test=test, num_classes=2, ignore_index=255)
    return normals(inputs, seed=0, device=torch.device("cpu"), penalties=[1e-6, 1.0]).evidence


def test_linear_normals_are_read_off_and_constants_are_not():
    patches = torch.randn(20, 16, 5, generator=torch.Generator().manual_seed(0))
    target = normalize(patches[..., :3], dim=-1)
    informed = run(split(patches, target), split(patches, target))
    assert informed["within22"].mean() > 0.9
    blind = split(torch.ones(20, 16, 5), target)
    constant = run(blind, blind)
    assert np.isfinite(constant["rmse"]).all()
    assert constant["rmse"].mean() > 3 * informed["rmse"].mean()


def test_set_without_normals_is_refused():
    nothing = split(torch.ones(2, 16, 3), None)
    with pytest.raises(ValueError, match="Normals folder"):
        run(nothing, nothing)
