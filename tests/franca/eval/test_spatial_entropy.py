"""Entropy and information of cluster places against the oracle, and what the corrections do."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.resampling import paired_difference, point_estimate
from franca.eval.spatial_entropy import (
    BENCHMARK,
    cluster_counts,
    entropy_bits,
    mutual_information_bits,
    spatial_entropy,
)


@pytest.mark.parametrize(("case", "clusters"), [("main", 12), ("one_image", 5)])
def test_matches_the_oracle(oracle, case, clusters):
    arrays = oracle("position")
    assigned = arrays[f"in/{case}/cluster"]
    counts = cluster_counts(assigned, np.ones(len(assigned)), num_clusters=clusters)
    np.testing.assert_array_equal(counts, arrays[f"out/{case}/counts"])
    raw = entropy_bits(counts, corrected=False)
    np.testing.assert_allclose(raw, arrays[f"out/{case}/entropy_bits"], atol=1e-8)
    information = mutual_information_bits(counts, corrected=False)
    expected = float(arrays[f"out/{case}/mutual_information_bits"])
    assert information == pytest.approx(expected, abs=1e-8)

    mean = point_estimate(BENCHMARK.spec("entropy_raw").statistic, assigned)
    assert mean == pytest.approx(float(arrays[f"out/{case}/mean_entropy_bits"]), abs=1e-8)
    nats = float(arrays[f"out/{case}/mean_entropy_nats"])
    assert mean * np.log(2) == pytest.approx(nats, abs=1e-8)
    share = mean / np.log2(assigned.shape[1])
    assert share == pytest.approx(float(arrays[f"out/{case}/mean_entropy_normalised"]), abs=1e-8)


def test_corrections_bring_independent_clusters_to_the_truth():
    """100 clusters, 64 places, 9,600 tokens: most of the raw information is small-count bias."""
    assigned = np.random.default_rng(0).integers(100, size=(150, 64))
    counts = cluster_counts(assigned, np.ones(150), num_clusters=100)
    information = mutual_information_bits(counts, corrected=False)
    corrected = mutual_information_bits(counts, corrected=True)
    assert information - corrected == pytest.approx(0.469, abs=5e-4)
    assert information > 0.4
    assert abs(corrected) < 0.2 * information
    raw = entropy_bits(counts, corrected=False).mean()
    corrected = entropy_bits(counts, corrected=True).mean()
    assert raw < corrected < 6.0
    assert 6.0 - corrected < 0.5 * (6.0 - raw)


def test_clusters_that_are_places_carry_all_the_information():
    assigned = np.tile(np.arange(16), (40, 1))
    counts = cluster_counts(assigned, np.ones(40), num_clusters=16)
    np.testing.assert_array_equal(entropy_bits(counts, corrected=True), np.zeros(16))
    assert mutual_information_bits(counts, corrected=False) == pytest.approx(4.0)


def test_empty_clusters_do_not_count():
    counts = np.array([[4.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(entropy_bits(counts, corrected=False), [1.0, np.nan])


def test_only_occupied_rows_and_columns_are_corrected_for():
    """Clusters that never occur cost nothing: k-means may leave some empty."""
    counts = np.random.default_rng(0).integers(1, 9, size=(5, 7)).astype(float)
    padded = np.pad(counts, ((0, 3), (0, 2)))
    for corrected in (False, True):
        found = mutual_information_bits(padded, corrected=corrected)
        assert found == pytest.approx(mutual_information_bits(counts, corrected=corrected))


def test_information_of_two_maps_is_compared_on_the_same_images():
    """The evidence is per image, so a checkpoint and its map are paired like everything else."""
    random = np.random.default_rng(0)
    content = random.integers(4, size=(60, 16))
    place = np.where(random.random((60, 16)) < 0.5, np.arange(16) // 4, content)
    difference = paired_difference(
        BENCHMARK.spec("information").statistic, content, place, resamples=50, generator=random
    )
    assert difference.ci95[1] < 0
    assert difference.p_value < 1e-6


def run(patches, seed=0):
    part = DenseFeatures(
        patches=patches,
        grid=(4, 4),
        masks=torch.zeros(len(patches), 4, 4, dtype=torch.uint8),
        depth=None,
        normals=None,
    )
    inputs = SegmentationInputs(train=part, test=part, num_classes=2, ignore_index=255)
    return spatial_entropy(
        inputs,
        seed=seed,
        device=torch.device("cpu"),
        clusters=16,
        iterations=20,
        restarts=3,
        points_per_cluster=256,
    ).evidence


def measure(evidence):
    metrics = BENCHMARK.measure(evidence, dataset="toy", resamples=50, seed=0)
    return {metric.metric: metric for metric in metrics}


def test_positional_tokens_have_low_entropy_and_high_information():
    source = torch.Generator().manual_seed(0)
    content = torch.randn(30, 16, 8, generator=source)
    place = 10 * torch.eye(16).expand(30, -1, -1)
    free, bound = measure(run(content)), measure(run(place))
    assert bound["entropy"].value == pytest.approx(0.0, abs=0.05)
    assert bound["information"].value > 3.5
    assert free["entropy"].value > 3.5
    assert abs(free["information"].value) < 0.1
    assert free["entropy_normalised"].value == pytest.approx(free["entropy"].value / 4)
    for metric in free.values():
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]


def test_constant_tokens_are_one_cluster_that_lives_everywhere():
    metrics = measure(run(torch.ones(5, 16, 3)))
    assert metrics["entropy"].value == pytest.approx(4.0)
    assert metrics["information"].value == pytest.approx(0.0, abs=1e-9)
