"""Losses of the geometry probes, against Probe3D and against their loop forms."""

import math

import pytest
import torch

from franca.eval.geometry_losses import (
    depth_loss,
    gradient_loss,
    scale_invariant_loss,
    uncertain_angular_loss,
)


@pytest.fixture
def depths(oracle):
    arrays = oracle("probe3d")
    prediction, truth = (
        torch.from_numpy(arrays[f"in/depth/main/{which}"])[:, 0] for which in ("pred", "gt")
    )
    return prediction, truth, arrays


def test_depth_losses_are_probe3ds(depths):
    prediction, truth, arrays = depths

    def expected(name):
        return pytest.approx(float(arrays[f"out/depth/main/{name}"]), abs=1e-5, rel=1e-4)

    assert scale_invariant_loss(prediction, truth).item() == expected("loss_sig")
    assert gradient_loss(prediction, truth).item() == expected("loss_gradient")
    assert depth_loss(prediction, truth, max_depth=10.0).item() == expected("loss_total")


def test_dinov2s_scale_invariant_loss_differs_by_bessels_factor_alone(depths):
    """Its training starts with the mean's part only, and its variance is the unbiased one."""
    prediction, truth, arrays = depths
    valid = truth > 0
    count = int(valid.sum())
    scale_only = ((prediction + 1e-3).log() - (truth + 1e-3).log())[valid].mean().square() * 0.15
    assert scale_only.sqrt().item() == pytest.approx(
        float(arrays["out/dinov2_sigloss_warm"]), rel=1e-4
    )
    shape = scale_invariant_loss(prediction, truth).square() - scale_only
    expected = (shape * count / (count - 1) + scale_only).sqrt().item()
    assert expected == pytest.approx(float(arrays["out/dinov2_sigloss"]), abs=2e-7)


def test_angular_loss_is_probe3ds(oracle):
    arrays = oracle("probe3d")
    prediction, truth, valid = (
        torch.from_numpy(arrays[f"in/normals/main/{which}"]) for which in ("pred", "gt", "valid")
    )
    found = uncertain_angular_loss(prediction, truth, valid[:, 0]).item()
    expected = float(arrays["out/normals/main/uncertainty_angular_loss"])
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-4)


def test_gradient_loss_is_its_loop_form():
    source = torch.Generator().manual_seed(0)
    prediction, truth = (torch.rand(2, 9, 14, generator=source) + 0.5 for _ in range(2))
    truth[0, :3] = 0
    total = 0.0
    for stride in (1, 2, 4, 6):
        guess, true = prediction[:, ::stride, ::stride], truth[:, ::stride, ::stride]
        images, rows, columns = true.shape
        steps = 0.0
        for image in range(images):
            for row in range(rows):
                for column in range(columns):
                    for other in ((row + 2, column), (row, column + 2)):
                        if other[0] >= rows or other[1] >= columns:
                            continue
                        ends = [(image, row, column), (image, *other)]
                        if all(true[end] > 0 for end in ends):
                            errors = [
                                math.log(guess[end] + 1e-3) - math.log(true[end] + 1e-3)
                                for end in ends
                            ]
                            steps += abs(errors[0] - errors[1])
        total += steps / int((true > 0).sum())
    assert gradient_loss(prediction, truth).item() == pytest.approx(total, rel=1e-5)


def test_what_is_unknown_or_too_far_has_no_influence(depths):
    prediction, truth, _ = depths
    unknown = torch.where(truth > 5, 0.0, truth)
    expected = depth_loss(prediction, unknown, max_depth=10.0)
    torch.testing.assert_close(depth_loss(prediction, truth, max_depth=5.0), expected)
    moved = torch.where(truth > 5, prediction + 1, prediction)
    torch.testing.assert_close(depth_loss(moved, truth, max_depth=5.0), expected)


def test_a_wrong_scale_costs_less_than_a_wrong_shape():
    truth = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)) + 1
    scaled = scale_invariant_loss(truth * 1.5, truth).item()
    assert scaled == pytest.approx(math.log(1.5) * math.sqrt(0.15), rel=1e-2)
    assert gradient_loss(truth * 1.5, truth).item() < 0.01


def test_gradients_are_finite_where_prediction_and_truth_agree():
    normals = torch.nn.functional.normalize(
        torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(2)), dim=1
    )
    prediction = torch.cat([normals, torch.zeros(1, 1, 4, 4)], dim=1).requires_grad_()
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    uncertain_angular_loss(prediction, normals, valid).backward()
    assert prediction.grad.isfinite().all()
