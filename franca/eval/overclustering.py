"""Overclustering: k-means on patch tokens, clusters named after classes, mean IoU."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from franca.eval.benchmark import Benchmark, DenseFeatures, Outcome, SegmentationInputs, share
from franca.eval.clustering import kmeans, nearest_centre
from franca.eval.features import all_tokens
from franca.eval.knn import principal_axes
from franca.eval.miou import Matching, confusion_matrix, match, matched_mean_iou
from franca.eval.resampling import Evidence, Weights


def reduce_tokens(
    tokens: Float[Tensor, "tokens dim"], *, dims: int | None
) -> Float[Tensor, "tokens reduced"]:
    """Standardise every dimension, then keep the first principal components (None keeps all)."""
    spread = tokens.std(0, unbiased=False)
    standard = (tokens - tokens.mean(0)) / torch.where(spread > 0, spread, 1.0)
    if dims is None or dims >= tokens.shape[1]:
        return standard
    centre, axes = principal_axes(standard)
    return ((standard - centre) @ axes[:, :dims]).float()


def _points(
    test: DenseFeatures, *, pca_dims: int | None, device: torch.device
) -> Float[Tensor, "tokens reduced"]:
    return reduce_tokens(all_tokens(test.patches).to(device, torch.float32), dims=pca_dims)


def _assigned(points: Tensor, **settings: int) -> Int[Tensor, " tokens"]:
    """Run k-means and return the cluster of every point."""
    return nearest_centre(points, kmeans(points, **settings).centres)[0].cpu()


def _confusions(
    assigned: Int[Tensor, " tokens"], inputs: SegmentationInputs, *, num_clusters: int, side: int
) -> NDArray[np.int64]:
    """Compare cluster maps with masks, both resized (nearest) to side x side pixels."""
    test = inputs.test
    clusters = assigned.view(-1, 1, *test.grid)
    maps = interpolate(clusters.float(), size=(side, side))
    masks = interpolate(test.masks[:, None], size=(side, side))
    pairs = zip(masks[:, 0].numpy(), maps[:, 0].numpy().astype(np.int64), strict=True)
    return np.stack(
        [
            confusion_matrix(
                mask,
                prediction,
                num_classes=inputs.num_classes,
                num_predicted=num_clusters,
                ignore_index=inputs.ignore_index,
            )
            for mask, prediction in pairs
        ]
    )


def _over_runs(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Average the matched mIoU over the runs of k-means.

    Args:
        evidence: [images, runs, classes, clusters] counts.
        weights: [resamples, images] how often each image counts.
    """
    images, runs, classes, clusters = evidence.shape
    # As in the reference: one to one if the numbers agree, else the majority class of each cluster.
    matching: Matching = "hungarian" if classes == clusters else "many_to_one_precision"
    totals = (weights @ evidence.reshape(images, -1)).reshape(-1, runs, classes, clusters)
    score = partial(matched_mean_iou, matching=matching, average="all")
    return np.array([np.mean([score(run) for run in total]) for total in totals])


def overclustering(
    inputs: SegmentationInputs,
    *,
    seed: int,
    device: torch.device,
    clusters: Sequence[int],
    runs: int,
    pca_dims: int | None,
    side: int,
    iterations: int,
    restarts: int,
    points_per_cluster: int,
) -> Outcome:
    """Cluster the patch tokens of the test images and score the clusters as a segmentation.

    Args:
        inputs: features and masks of the test images; the training images play no part.
        seed: of k-means.
        device: where to cluster.
        clusters: numbers of clusters; 0 stands for the number of classes.
        runs: runs of k-means with different seeds, averaged.
        pca_dims: principal components kept before clustering; None keeps all.
        side: pixels of the maps that are compared.
        iterations: of k-means.
        restarts: of k-means.
        points_per_cluster: of k-means.
    """
    points = _points(inputs.test, pca_dims=pca_dims, device=device)
    evidence, predictions = {}, {}
    for number in clusters:
        count = number or inputs.num_classes
        matrices = []
        for run in range(runs):
            assigned = _assigned(
                points,
                clusters=count,
                iterations=iterations,
                restarts=restarts,
                points_per_cluster=points_per_cluster,
                seed=seed + run,
            )
            if run == 0:
                maps = assigned.view(-1, *inputs.test.grid)
                predictions[f"cluster@K{count}"] = maps.numpy().astype(np.uint16)
            matrices.append(_confusions(assigned, inputs, num_clusters=count, side=side))
        evidence[f"confusion@K{count}"] = np.stack(matrices, axis=1).astype(np.int32)
    return Outcome(evidence=evidence, predictions=predictions)


def class_names(
    confusion: Int[np.ndarray, "images classes classes"],
) -> UInt8[np.ndarray, " clusters"]:
    """Return the class that each of as many clusters as classes stands for, matched one to one.

    A cluster without a valid pixel is nobody's: background.
    """
    return np.maximum(match(confusion.sum(0), "hungarian"), 0).astype(np.uint8)


BENCHMARK = Benchmark(
    name="overclustering",
    version="1.1",
    protocol="standardise, PCA, k-means on patch tokens of the test images; clusters take their "
    "majority class (one to one if there are as many as classes); mean over runs",
    source="vpariza/NeCo@3932160 eval_overcluster, k-means ours instead of faiss; Franca, App. C",
    kind="segmentation",
    quick=False,
    metrics=(share("miou", "confusion", _over_runs, "normal"),),
    run=overclustering,
    predictions={"cluster": "[images, rows, columns] cluster of each patch, first run of k-means"},
)
