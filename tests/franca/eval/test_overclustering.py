"""Overclustering: the reduction of tokens against NeCo, and limits of the score."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.overclustering import BENCHMARK, overclustering, reduce_tokens


def test_standardise_and_pca_match_the_reference(oracle):
    arrays = oracle("overcluster_miou")
    reduced = reduce_tokens(torch.from_numpy(arrays["in/pca/x"]), dims=6)
    np.testing.assert_allclose(reduced.abs(), arrays["out/pca/abs_components"], atol=2e-3)
    np.testing.assert_allclose(reduced @ reduced.T, arrays["out/pca/gram"], atol=2e-2)


@pytest.mark.parametrize("dims", [None, 4, 99])
def test_without_fewer_dimensions_tokens_are_only_standardised(dims):
    tokens = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    tokens[:, 2] = 7.0  # a constant dimension must not divide by zero
    reduced = reduce_tokens(tokens, dims=dims)
    assert reduced.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(
        reduced.std(0, unbiased=False), torch.tensor([1.0, 1.0, 0.0, 1.0]), atol=1e-5, rtol=0
    )


def run(patches, masks, clusters):
    part = DenseFeatures(patches=patches, grid=(4, 4), masks=masks, depth=None, normals=None)
    inputs = SegmentationInputs(train=part, test=part, num_classes=3, ignore_index=255)
    outcome = overclustering(
        inputs,
        seed=0,
        device=torch.device("cpu"),
        clusters=clusters,
        runs=2,
        pca_dims=None,
        side=8,
        iterations=20,
        restarts=2,
        points_per_cluster=256,
    )
    metrics = BENCHMARK.measure(outcome.evidence, dataset="toy", resamples=20, seed=0)
    return outcome.evidence, {metric.metric: metric.value for metric in metrics}


def toy():
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (12, 4, 4), generator=source)
    masks = labels.to(torch.uint8).repeat_interleave(2, 1).repeat_interleave(2, 2)
    noise = 0.05 * torch.randn(12, 16, 3, generator=source)
    return torch.eye(3)[labels.flatten(1)] + noise, masks


def test_clusters_that_are_classes_score_one():
    patches, masks = toy()
    evidence, scores = run(patches, masks, [0, 9])
    assert scores == {"miou@K3": pytest.approx(1.0), "miou@K9": pytest.approx(1.0)}
    assert evidence["confusion@K9"].shape == (12, 2, 3, 9)


def test_constant_tokens_score_the_majority_class():
    _, masks = toy()
    _, scores = run(torch.ones(12, 16, 5), masks, [9])
    share = np.bincount(masks.flatten()).max() / masks.numel()
    assert scores["miou@K9"] == pytest.approx(share / 3)


def test_void_pixels_are_left_out():
    patches, masks = toy()
    masks[:, :4] = 255
    evidence, _ = run(patches, masks, [9])
    assert evidence["confusion@K9"].sum() == 12 * 2 * 32
