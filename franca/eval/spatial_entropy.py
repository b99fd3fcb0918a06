"""Where clusters of patch tokens live: entropy of their places, information about position.

Everything is in bits (logarithms to base 2), and a bin of the histograms is one position of the
patch grid: nothing is pooled or smoothed.

Counts are small next to the number of bins, which biases entropies down and information up, the
latter by most of its value for an untrained model: of 100 clusters, 64 positions and 9,600 tokens
that have nothing to do with each other one expects .469 bits. Corrected values are the headline;
"_raw" ones are kept to show what the correction does.
"""

from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome, SegmentationInputs
from franca.eval.clustering import kmeans, nearest_centre
from franca.eval.features import all_tokens
from franca.eval.resampling import Evidence, Statistic, Weights

Counts = NDArray[np.float64]
Summary = Literal["entropy", "normalised", "information"]


def cluster_counts(
    clusters: Int[np.ndarray, "images patches"], weights: NDArray[np.float64], *, num_clusters: int
) -> Counts:
    """Count how often each cluster occurs at each patch position.

    Args:
        clusters: [images, patches] cluster of each patch.
        weights: [images] how often each image counts.
        num_clusters: number of clusters.

    Returns:
        [clusters, patches] counts.
    """
    patches = clusters.shape[1]
    cell = clusters.astype(np.int64) * patches + np.arange(patches)
    repeated = np.repeat(weights, patches)
    counts = np.bincount(cell.ravel(), repeated, minlength=num_clusters * patches)
    return counts.reshape(num_clusters, patches).astype(np.float64)


def entropy_bits(counts: Counts, *, corrected: bool) -> NDArray[np.float64]:
    """Return the entropy of each row of counts in bits, NaN for empty rows.

        H = -sum_i p_i log2 p_i,  plus (occupied cells - 1) / (2 n ln 2) if corrected

    The correction is Miller and Madow's (1955); no entropy exceeds that of the uniform law.

    Args:
        counts: [rows, cells].
        corrected: whether to add the correction.
    """
    total = counts.sum(1, keepdims=True)
    share = counts / np.maximum(total, 1)
    terms = -share * np.log2(np.where(share > 0, share, 1.0))
    entropy = terms.sum(1)
    if corrected:
        occupied = (counts > 0).sum(1)
        entropy = entropy + (occupied - 1) / (2 * np.maximum(total[:, 0], 1) * np.log(2))
        entropy = np.minimum(entropy, np.log2(counts.shape[1]))
    return np.where(total[:, 0] > 0, entropy, np.nan)


def mutual_information_bits(counts: Counts, *, corrected: bool) -> float:
    """Return the mutual information of row and column in bits.

        I = sum_ij p_ij log2(p_ij / (p_i p_j)),
        minus (rows - 1)(columns - 1) / (2 n ln 2) over occupied rows and columns if corrected

    Args:
        counts: [rows, columns].
        corrected: whether to subtract the expectation under independence (to first order).
    """
    total = counts.sum()
    joint = counts / total
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    ratio = np.divide(joint, independent, out=np.ones_like(joint), where=joint > 0)
    information = float((joint * np.log2(ratio)).sum())
    if corrected:
        rows, columns = (counts.sum(1) > 0).sum(), (counts.sum(0) > 0).sum()
        information -= float((rows - 1) * (columns - 1) / (2 * total * np.log(2)))
    return information


def _summarise(counts: Counts, *, what: Summary, corrected: bool) -> float:
    if what == "information":
        return mutual_information_bits(counts, corrected=corrected)
    entropy = float(np.nanmean(entropy_bits(counts, corrected=corrected)))
    cells = counts.shape[1]
    return entropy / np.log2(cells) if what == "normalised" and cells > 1 else entropy


def _statistic(
    evidence: Evidence, weights: Weights, *, what: Summary, corrected: bool
) -> NDArray[np.float64]:
    num_clusters = int(evidence.max()) + 1
    return np.array(
        [
            _summarise(
                cluster_counts(evidence, row, num_clusters=num_clusters),
                what=what,
                corrected=corrected,
            )
            for row in weights
        ]
    )


def _spec(name: str, what: Summary, *, corrected: bool) -> MetricSpec:
    statistic: Statistic = partial(_statistic, what=what, corrected=corrected)
    unit = "fraction" if what == "normalised" else "bit"
    direction: Literal["higher", "lower"] = "lower" if what == "information" else "higher"
    return MetricSpec(name, direction, unit, "cluster", statistic, "normal")


def spatial_entropy(
    inputs: SegmentationInputs,
    *,
    seed: int,
    device: torch.device,
    clusters: int,
    iterations: int,
    restarts: int,
    points_per_cluster: int,
) -> Outcome:
    """Cluster the patch tokens of the test images and look where the clusters occur.

    Args:
        inputs: features; masks play no part.
        seed: of k-means.
        device: where to cluster.
        clusters: how many.
        iterations: of k-means.
        restarts: of k-means.
        points_per_cluster: of k-means.
    """
    patches = inputs.test.patches
    points = all_tokens(patches).to(device, torch.float32)
    found = kmeans(
        points,
        clusters=clusters,
        iterations=iterations,
        restarts=restarts,
        points_per_cluster=points_per_cluster,
        seed=seed,
    )
    assigned = nearest_centre(points, found.centres)[0].view(patches.shape[:2])
    return Outcome(
        evidence={"cluster": assigned.cpu().numpy().astype(np.int32)},
        details={"objective": found.objective},
    )


BENCHMARK = Benchmark(
    name="spatial_entropy",
    version="1.1",
    protocol="k-means on patch tokens; entropy of each cluster's places averaged over clusters, "
    "and mutual information of cluster and place, both in bits with one bin a patch position, both "
    "corrected for small counts",
    source="Franca, Fig. 6; corrections ours",
    kind="segmentation",
    quick=True,
    metrics=(
        _spec("entropy", "entropy", corrected=True),
        _spec("entropy_raw", "entropy", corrected=False),
        _spec("entropy_normalised", "normalised", corrected=True),
        _spec("information", "information", corrected=True),
        _spec("information_raw", "information", corrected=False),
    ),
    run=spatial_entropy,
)
