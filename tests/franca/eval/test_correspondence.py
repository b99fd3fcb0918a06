"""Dense correspondence, against Probe3D and against what must hold."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.correspondence import (
    RENDERED,
    area_under_shares,
    find_matches,
    in_bins,
    match_errors,
    match_views,
)
from franca.eval.geometry import ViewPair, ViewPairInputs
from franca.eval.truth.geometry import world_places
from tests.franca.eval.toy_geometry import view, view_pairs

CPU = torch.device("cpu")
PARAMETERS = {
    "scale": 0.5,
    "matches": 50,
    "metres": [0.1, 0.3],
    "pixels": [2.0, 8.0],
    "pixels_of_grid": False,
    "bins": [0.0, 30.0, 60.0, 90.0],
    "bin_unit": "m",
    "bin_threshold": 0.3,
}


@pytest.fixture
def reference(oracle):
    arrays = oracle("probe3d")
    inputs = [
        torch.from_numpy(arrays[f"in/dense/main/{name}"])
        for name in ("features_0", "features_1", "xyz_0", "xyz_1")
    ]
    found = find_matches((inputs[0], inputs[1]), (inputs[2], inputs[3]), count=200, block=77)
    return arrays, found


def test_matches_are_probe3ds(reference):
    arrays, found = reference
    # The reference's rows are sorted by row and column of the first image.
    order = np.lexsort((found.first_pixels[:, 0], found.first_pixels[:, 1]))
    names = {
        "xyz_0": "first",
        "xyz_1": "second",
        "uv_0": "first_pixels",
        "uv_1": "second_pixels",
        "ratio_weight": "weights",
    }
    for theirs, ours in names.items():
        expected = arrays[f"out/dense/main/{theirs}"]
        np.testing.assert_allclose(getattr(found, ours)[order], expected, atol=1e-5, rtol=1e-4)


def test_recall_is_probe3ds(reference):
    arrays, found = reference
    space = (found.first - found.second).norm(dim=1)
    image = (found.first_pixels - found.second_pixels).norm(dim=1)
    for errors, thresholds, name in (
        (space, (0.01, 0.02, 0.05), "recall_3d"),
        (image, (3.0, 5.0, 10.0), "recall_uv"),
    ):
        ours = [float((errors < threshold).double().mean()) for threshold in thresholds]
        np.testing.assert_allclose(ours, arrays[f"out/dense/main/{name}"], atol=1e-6)


def test_area_under_the_shares_is_probe3ds(oracle):
    arrays = oracle("probe3d")
    errors = torch.from_numpy(arrays["in/auc/errors"])
    shuffled = errors[torch.randperm(len(errors), generator=torch.Generator().manual_seed(0))]
    found = [area_under_shares(shuffled, each) for each in arrays["in/auc/thresholds"].tolist()]
    np.testing.assert_allclose(found, arrays["out/auc/error_auc"], atol=1e-12)


@pytest.mark.parametrize(("errors", "area"), [([0.0, 0.0], 1.0), ([9.0, np.inf], 0.0), ([], None)])
def test_area_of_perfect_of_far_and_of_no_matches(errors, area):
    found = area_under_shares(torch.tensor(errors), 5.0)
    assert np.isnan(found) if area is None else found == area


def test_means_by_bin_are_probe3ds(oracle):
    arrays = oracle("probe3d")
    values, angles, edges = (arrays[f"in/binned/{name}"] for name in ("y", "x", "edges"))
    found = in_bins(values.astype(np.float64), angles.astype(np.float64), edges.tolist())
    assert list(found) == ["0to30", "30to60", "60to90", "90to120"]
    ours = [np.nanmean(one) for one in found.values()]
    np.testing.assert_allclose(ours, arrays["out/binned/mean_per_bin"], atol=1e-6)


def run(inputs, **changes):
    return RENDERED.run(inputs, seed=0, device=CPU, **(PARAMETERS | changes))


def recall(outcome, key):
    total, count = outcome.evidence[key].sum(0)
    return total / count


def test_a_view_finds_itself():
    same = view(10.0)
    pair = ViewPair(same, same, group="a")
    errors, angle = match_errors(pair, match_views(pair, scale=0.5, count=100))
    assert angle == pytest.approx(0.0, abs=0.05)
    assert errors["m"].max() < 1e-5
    assert errors["px"].max() < 1e-3


def test_perfect_features_find_most_and_noise_finds_little():
    noise, perfect = run(view_pairs(2)), run(world_places(view_pairs(2)))
    assert recall(perfect, "right@0.3m") > 0.8
    assert recall(noise, "right@0.3m") < 0.4
    assert recall(noise, "right@8px") > recall(noise, "right@2px")


def test_places_without_depth_are_never_matched():
    holed = view(0.0, hole=True)
    found = find_matches(
        (view(0.0).tokens.T.unflatten(1, (6, 8)), holed.tokens.T.unflatten(1, (6, 8))),
        (view(0.0).points, holed.points),
        count=2000,
    )
    assert len(found.weights) == 24 * 32
    assert (found.second[:, 2] > 0).all()
    assert found.second_pixels[:, 1].min() > 12
    empty = dataclasses.replace(holed, points=torch.zeros_like(holed.points))
    inputs = ViewPairInputs([ViewPair(view(0.0), empty, group="a"), *view_pairs(2).pairs])
    assert np.isfinite(recall(run(inputs), "right@0.3m"))


def test_an_orthogonal_rotation_of_features_changes_nothing():
    turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(3))).Q
    (pair,) = view_pairs(1).pairs
    rotated = ViewPair(
        *(
            dataclasses.replace(one, tokens=3 * one.tokens @ turned)
            for one in (pair.first, pair.second)
        ),
        group="scene0",
    )
    one, other = (run(ViewPairInputs([which])) for which in (pair, rotated))
    assert recall(one, "right@0.3m") == pytest.approx(recall(other, "right@0.3m"), abs=0.03)


def test_pairs_are_reported_by_angle_and_scenes_are_resampled():
    outcome = run(view_pairs(6))
    assert set(outcome.evidence) == {
        "area@0.1m",
        "area@0.3m",
        "area@2px",
        "area@8px",
        "right@0.1m",
        "right@0.3m",
        "right@2px",
        "right@8px",
        "right@0.3m-0to30",
        "right@0.3m-30to60",
        "right@0.3m-60to90",
    }
    assert outcome.evidence["right@0.3m"][:, 1].tolist() == [2.0, 2.0, 2.0]
    by_angle = [outcome.evidence[f"right@0.3m-{span}"] for span in ("0to30", "30to60", "60to90")]
    np.testing.assert_allclose(sum(by_angle), outcome.evidence["right@0.3m"])
    metrics = RENDERED.measure(outcome.evidence, dataset="x", resamples=50, seed=0)
    assert {metric.n for metric in metrics} == {3}


def test_pixels_of_the_grid_are_larger():
    of_image, of_grid = (run(view_pairs(4), pixels_of_grid=flag) for flag in (False, True))
    narrower = run(view_pairs(4), pixels=[1.0, 4.0], pixels_of_grid=True)
    assert recall(of_grid, "right@8px") >= recall(of_image, "right@8px")
    assert recall(narrower, "right@4px") == recall(of_image, "right@8px")
