"""Keypoints found by the likeness of patches, against Probe3D and against what must hold."""

import numpy as np
import pytest
import torch

from franca.eval.keypoints import BENCHMARK, SPAIR, class_recall, errors, match
from franca.eval.objects import KeypointPair, PairInputs
from franca.eval.truth.objects import point_places

CPU = torch.device("cpu")


def make_pair(source, target, source_points, target_points, *, extent=0.5, label="a", group="d0"):
    return KeypointPair(
        source=source,
        target=target,
        grid=(8, 8),
        source_points=source_points,
        target_points=target_points,
        target_extent=extent,
        label=label,
        group=group,
    )


def random_pairs(count=12, *, seed=0):
    """Points at random and features without any meaning."""
    source = torch.Generator().manual_seed(seed)

    def some(*shape):
        return torch.rand(*shape, generator=source)

    return [
        make_pair(
            some(64, 6), some(64, 6), some(5, 2), some(5, 2), label="ab"[i % 2], group=f"d{i % 3}"
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_errors_are_probe3ds(oracle, number):
    arrays = oracle("probe3d")
    features, source, target, scale = (
        arrays[f"in/spair/{number}/{name}"]
        for name in ("features", "kps_source", "kps_target", "thresh_scale")
    )
    visible = (source[:, 2] > 0) & (target[:, 2] > 0)
    tokens = torch.from_numpy(features).flatten(2).transpose(1, 2)
    pair = make_pair(
        tokens[0],
        tokens[1],
        torch.from_numpy(source[visible, :2] / 64),
        torch.from_numpy(target[visible, :2] / 64),
        extent=float(scale),
    )
    assert np.flatnonzero(visible).tolist() == arrays[f"out/spair/{number}/keypoint_index"].tolist()
    ours = errors(pair, match(pair, alignment="probe3d")).numpy()
    np.testing.assert_allclose(ours, arrays[f"out/spair/{number}/error_same"], atol=1e-5)
    # what a place was found to be may lie nearer to another of the target's keypoints
    found, shown = match(pair, alignment="probe3d"), np.flatnonzero(target[:, 2] > 0)
    if len(found):
        nearest, index = torch.cdist(found, torch.from_numpy(target[shown, :2] / 64)).min(1)
        expected = arrays[f"out/spair/{number}/error_nearest"]
        np.testing.assert_allclose(nearest / pair.target_extent, expected, atol=1e-5)
        assert shown[index].tolist() == arrays[f"out/spair/{number}/nearest_index"].tolist()


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.2])
def test_recall_over_all_keypoints_is_probe3ds(oracle, threshold):
    arrays = oracle("probe3d")
    far = [arrays[f"out/spair/{number}/error_same"] for number in range(4)]
    evidence = np.array([(0, len(e), (e < threshold).sum()) for e in far])
    ours = class_recall(evidence, np.ones((1, 4)))[0]
    assert 100 * ours == pytest.approx(float(arrays[f"out/spair/recall_percent_at_{threshold}"]))


def test_the_middle_of_a_patch_finds_itself():
    tokens = torch.eye(64)
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    middles = torch.stack([columns.flatten() + 0.5, rows.flatten() + 0.5], dim=1) / 8
    pair = make_pair(tokens, tokens, middles, middles)
    assert torch.allclose(match(pair, alignment="centre"), middles)


def test_an_orthogonal_rotation_of_features_changes_nothing():
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1))).Q
    for pair in random_pairs(3):
        turned = make_pair(
            pair.source @ turn, pair.target @ turn, pair.source_points, pair.target_points
        )
        assert torch.equal(match(pair, alignment="centre"), match(turned, alignment="centre"))


def test_perfect_features_find_every_point_within_half_a_patch():
    inputs = point_places(PairInputs(random_pairs()))
    outcome = BENCHMARK.run(inputs, seed=0, device=CPU, thresholds=(0.18,))
    # Half the diagonal of a patch is 0.088 of the image, 0.18 of a box of half its side.
    found = outcome.evidence["found@0.18"]
    assert found[:, 1].tolist() == found[:, 2].tolist() == [5] * 12


def test_classes_count_alike_and_groups_are_told_apart():
    outcome = SPAIR.run(PairInputs(random_pairs()), seed=0, device=CPU, thresholds=(0.1, 0.2))
    assert set(outcome.evidence) == {"found@0.1", "found@0.2"} | {
        f"found@0.1-d{group}" for group in range(3)
    }
    assert outcome.details["classes"] == ["a", "b"]
    rare = np.array([[0, 90, 90], [0, 10, 10], [1, 2, 0]])
    assert class_recall(rare, np.ones((1, 3)))[0] == 0.5


def test_constant_features_and_pairs_without_points_give_no_nan():
    pair = make_pair(torch.ones(64, 6), torch.ones(64, 6), torch.rand(4, 2), torch.rand(4, 2))
    empty = make_pair(torch.ones(64, 6), torch.ones(64, 6), torch.rand(0, 2), torch.rand(0, 2))
    outcome = BENCHMARK.run(PairInputs([pair, empty]), seed=0, device=CPU, thresholds=(0.1,))
    assert outcome.evidence["found@0.1"][1].tolist() == [0, 0, 0]
    (metric,) = BENCHMARK.measure(outcome.evidence, dataset="pairs", resamples=20, seed=0)
    assert 0 <= metric.value <= 1
