"""Confusion matrices, matching of predicted ids to classes, and the several definitions of mIoU.

Published segmentation numbers use incompatible definitions. The confusion matrix is stored and all
are derived from it (rows: true class, columns: predicted id):

* all: mean over every class, an absent class counts 0 (open-hummingbird-eval, NeCo, Leopart);
* union: mean over classes present in truth or prediction (mmseg, DINOv3, Hugging Face evaluate);
* present: mean over classes present in the truth.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from franca.eval.resampling import Evidence, Statistic, Weights

Average = Literal["all", "union", "present"]
Matching = Literal["identity", "hungarian", "many_to_one_iou", "many_to_one_precision"]
Counts = NDArray[Any]


def confusion_matrix(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    *,
    num_classes: int,
    num_predicted: int,
    ignore_index: int | None,
) -> NDArray[np.int64]:
    """Count pixels by (true class, predicted id), leaving out pixels whose truth is ignored.

    Args:
        truth: any shape, integer classes.
        prediction: same shape, integer ids in [0, num_predicted).
        num_classes: rows of the result.
        num_predicted: columns of the result.
        ignore_index: the class of void pixels; None if there are none.

    Raises:
        ValueError: a class that is neither in [0, num_classes) nor ignored.
    """
    keep = np.ones(truth.shape, dtype=bool) if ignore_index is None else truth != ignore_index
    true_class = truth[keep].astype(np.int64)
    if true_class.size and not 0 <= true_class.min() <= true_class.max() < num_classes:
        raise ValueError(
            f"mask holds class {true_class.max()} but there are {num_classes} classes "
            f"(void: {ignore_index}): correct num_classes or ignore_index of the evaluation set"
        )
    cell = true_class * num_predicted + prediction[keep].astype(np.int64)
    counts = np.bincount(cell, minlength=num_classes * num_predicted)
    return counts.reshape(num_classes, num_predicted)


def compare_masks(
    masks: Iterable[Tensor],
    painted: Iterable[Tensor],
    *,
    num_classes: int,
    ignore_index: int | None,
) -> tuple[NDArray[np.int64], list[NDArray[np.uint8]]]:
    """Compare the masks of images with what was painted on them, image by image.

    Returns:
        Confusion matrices [images, classes, classes], and what was painted, [height, width] each.

    Raises:
        ValueError: as `confusion_matrix`, or not as many predictions as masks.
    """
    matrices, kept = [], []
    for mask, classes in zip(masks, painted, strict=True):
        kept.append(classes.to(torch.uint8).numpy())
        matrices.append(
            confusion_matrix(
                mask.numpy(),
                kept[-1],
                num_classes=num_classes,
                num_predicted=num_classes,
                ignore_index=ignore_index,
            )
        )
    return np.stack(matrices), kept


def pairwise_iou(confusion: Counts) -> NDArray[np.float64]:
    """Return the IoU of every (class, predicted id) pair, [..., classes, predicted]."""
    union = confusion.sum(-1, keepdims=True) + confusion.sum(-2, keepdims=True) - confusion
    return np.asarray(confusion / np.maximum(union, 1e-12), dtype=np.float64)


def pairwise_precision(confusion: Counts) -> NDArray[np.float64]:
    """Return the share of every predicted id that falls in every class, [classes, predicted]."""
    area = np.maximum(confusion.sum(-2, keepdims=True), 1e-12)
    return np.asarray(confusion / area, dtype=np.float64)


def match_hungarian(confusion: Counts) -> NDArray[np.int64]:
    """Assign predicted ids to classes one to one with the largest summed IoU.

    Ids beyond the number of classes stay unmatched and go to class 0, as in the reference
    (NeCo; open-hummingbird-eval, PredsmIoU).

    Returns:
        [predicted] class of each id, -1 for ids that never occur.
    """
    mapping = np.zeros(confusion.shape[1], dtype=np.int64)
    true_class, predicted = linear_sum_assignment(pairwise_iou(confusion), maximize=True)
    mapping[predicted] = true_class
    return np.where(confusion.sum(0) > 0, mapping, -1)


def match_many_to_one(score: NDArray[np.float64], confusion: Counts) -> NDArray[np.int64]:
    """Assign each predicted id to its best-scoring class, the first on ties.

    Returns:
        [predicted] class of each id, -1 for ids that never occur.
    """
    return np.where(confusion.sum(0) > 0, score.argmax(0), -1)


_MATCHERS: dict[str, Callable[[Counts], NDArray[np.int64]]] = {
    "identity": lambda confusion: np.arange(confusion.shape[1]),
    "hungarian": match_hungarian,
    "many_to_one_iou": lambda confusion: match_many_to_one(pairwise_iou(confusion), confusion),
    "many_to_one_precision": lambda confusion: match_many_to_one(
        pairwise_precision(confusion), confusion
    ),
}


def match(confusion: Counts, matching: Matching) -> NDArray[np.int64]:
    """Return the class of each predicted id, [predicted]; -1 for ids that never occur."""
    return _MATCHERS[matching](confusion)


def merge_columns(confusion: Counts, mapping: NDArray[np.int64]) -> Counts:
    """Add the columns of ids that share a class: [classes, predicted] -> [classes, classes]."""
    merged = np.zeros((confusion.shape[0], confusion.shape[0]), dtype=confusion.dtype)
    occurring = mapping >= 0
    np.add.at(merged.T, mapping[occurring], confusion.T[occurring])
    return merged


def mean_iou(confusion: Counts, average: Average) -> NDArray[np.float64]:
    """Average the diagonal IoU over classes; see the module for the three definitions.

    Args:
        confusion: [..., classes, classes] counts.
        average: over which classes.

    Returns:
        [...] mean IoU; 0 where no class qualifies.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    true_area = confusion.sum(-1)
    union = true_area + confusion.sum(-2) - hits
    iou = hits / np.maximum(union, 1e-12)
    chosen = {"all": np.ones(iou.shape, bool), "union": union > 0, "present": true_area > 0}[
        average
    ]
    return np.asarray((iou * chosen).sum(-1) / np.maximum(chosen.sum(-1), 1), dtype=np.float64)


def matched_mean_iou(confusion: Counts, matching: Matching, average: Average) -> float:
    """Match predicted ids to classes, merge, and average the IoU."""
    return float(mean_iou(merge_columns(confusion, match(confusion, matching)), average))


def _miou(
    evidence: Evidence, weights: Weights, *, matching: Matching, average: Average
) -> NDArray[np.float64]:
    images, classes, predicted = evidence.shape
    totals = weights @ evidence.reshape(images, classes * predicted).astype(np.float64)
    stacked = totals.reshape(-1, classes, predicted)
    if matching == "identity":
        return mean_iou(stacked, average)
    return np.array([matched_mean_iou(total, matching, average) for total in stacked])


def miou_statistic(matching: Matching, average: Average) -> Statistic:
    """Return mIoU as a statistic of per-image confusion matrices [images, classes, predicted].

    Matching is part of the statistic: every bootstrap draw is matched anew, which favours it, so
    matched metrics take the normal interval.
    """
    return partial(_miou, matching=matching, average=average)


def pixel_accuracy(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Return the share of valid pixels on the diagonal of [images, classes, classes] counts."""
    hits = weights @ np.diagonal(evidence, axis1=1, axis2=2).sum(1)
    return np.asarray(hits / np.maximum(weights @ evidence.sum((1, 2)), 1), dtype=np.float64)


def mean_class_accuracy(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Return the share of each class's pixels on the diagonal, averaged over classes in the truth.

    Args:
        evidence: [images, classes, classes] counts.
        weights: [resamples, images] how often each image counts.
    """
    areas = weights @ evidence.sum(2)
    hits = weights @ np.diagonal(evidence, axis1=1, axis2=2)
    present = areas > 0
    recall = np.where(present, hits / np.maximum(areas, 1), 0.0)
    return np.asarray(recall.sum(1) / np.maximum(present.sum(1), 1), dtype=np.float64)
