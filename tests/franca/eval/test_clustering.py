"""k-means: quality of the optimum, repeatability, degenerate inputs."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from franca.eval.clustering import kmeans, nearest_centre


def points(count=600, dim=4, centres=5, seed=0):
    source = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn(centres, dim, generator=source)
    labels = torch.randint(centres, (count,), generator=source)
    return means[labels] + torch.randn(count, dim, generator=source)


def run(x, clusters, **changes):
    settings = {"iterations": 40, "restarts": 2, "points_per_cluster": 256, "seed": 0}
    return kmeans(x, clusters=clusters, **(settings | changes))


@pytest.mark.parametrize("clusters", [4, 12])
def test_single_starts_are_on_average_as_good_as_scikit_learn(clusters):
    x = points(300)
    seeds = range(6)
    ours = [run(x, clusters, restarts=1, seed=seed).objective for seed in seeds]
    theirs = [KMeans(clusters, n_init=1, random_state=s).fit(x.numpy()).inertia_ for s in seeds]
    assert np.mean(ours) < 1.02 * np.mean(theirs) / len(x)


def test_same_seed_same_centres_whatever_the_global_state():
    x = points()
    first = run(x, 5)
    torch.rand(10)
    assert torch.equal(first.centres, run(x, 5).centres)
    assert not torch.equal(first.centres, run(x, 5, seed=1, restarts=1).centres)


def test_nearest_centre_equals_the_dense_distance():
    x, centres = points(), points(7, seed=1)
    index, distance = nearest_centre(x, centres)
    dense = torch.cdist(x, centres).square().min(1)
    assert torch.equal(index, dense.indices)
    torch.testing.assert_close(distance, dense.values, atol=1e-4, rtol=1e-4)


def test_a_subsample_trains_almost_as_well():
    x = points(1500)
    sampled = run(x, 5, points_per_cluster=60)
    assert float(nearest_centre(x, sampled.centres)[1].mean()) < 1.05 * run(x, 5).objective


def test_more_clusters_than_points_and_identical_points():
    few = torch.eye(3)
    assert run(few, 8).objective == pytest.approx(0.0, abs=1e-6)
    same = torch.ones(10, 2)
    clustering = run(same, 4)
    assert clustering.objective == 0.0
    assert clustering.centres.isfinite().all()
