"""DAVIS-2017: region similarity J and boundary measure F of masks, and their statistics.

Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017; davisvideochallenge/davis2017-evaluation.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

VOID = 255
_TOLERANCE = 0.008  # of the diagonal: how far apart boundaries may lie
_RECALL_AT = 0.5
_BINS = 4

Mask = Bool[np.ndarray, "height width"]


class Statistics(NamedTuple):
    """Mean, share above one half, and first quarter minus last quarter of a sequence's scores."""

    mean: float
    recall: float
    decay: float


def region_similarity(truth: Mask, predicted: Mask) -> float:
    """Return the IoU; 1 where both are empty."""
    union = int(np.count_nonzero(truth | predicted))
    return 1.0 if union == 0 else np.count_nonzero(truth & predicted) / union


def boundary(mask: Mask) -> NDArray[np.bool_]:
    """Return the pixels that differ from the one to the right, below, or both."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return np.asarray((mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:]))


def boundary_measure(truth: Mask, predicted: Mask) -> float:
    """Return the harmonic mean of precision and recall of the boundaries.

    A boundary pixel counts if the other boundary is at most 0.8 % of the diagonal away, rounded up
    to pixels. Both empty: 1; one empty: 0.
    """
    found, wanted = boundary(predicted), boundary(truth)
    radius = np.ceil(_TOLERANCE * np.linalg.norm(truth.shape))
    if not found.any() or not wanted.any():
        return float(not found.any() and not wanted.any())
    # Distances between boundaries need no pixels but those around both.
    (around,) = find_objects((found | wanted).astype(np.uint8))
    found, wanted = found[around], wanted[around]
    precision = np.mean(distance_transform_edt(~wanted)[found] <= radius)
    recall = np.mean(distance_transform_edt(~found)[wanted] <= radius)
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


def statistics(scores: Float[np.ndarray, " frames"]) -> Statistics:
    """Summarise the scores of one object over the frames of a sequence.

    Quarters share their ends; the official code numbers frames in 8 bits and errs beyond 255.
    """
    edges = np.round(np.linspace(1, len(scores), _BINS + 1) + 1e-10).astype(int) - 1
    quarters = [scores[edges[i] : edges[i + 1] + 1] for i in range(_BINS)]
    return Statistics(
        mean=float(np.mean(scores)),
        recall=float(np.mean(scores > _RECALL_AT)),
        decay=float(np.mean(quarters[0]) - np.mean(quarters[-1])),
    )


def num_objects(first: UInt8[np.ndarray, "height width"]) -> int:
    """Return how many objects the first mask of a sequence names."""
    valid = first[first != VOID]
    return int(valid.max()) if valid.size else 0


def sequence_scores(
    truth: UInt8[np.ndarray, "frames height width"],
    predicted: UInt8[np.ndarray, "frames height width"],
) -> Float[np.ndarray, "objects 2 scored"]:
    """Return J and F of every object in every frame but the first, which is given, and the last.

    Args:
        truth: objects of the pixels; 255 is void and counts for nobody.
        predicted: objects of the pixels; an object that never occurs is an empty mask.

    Returns:
        [objects, (J, F), frames - 2]; no frames if the sequence has fewer than three.
    """
    objects, frames = num_objects(truth[0]), range(1, len(truth) - 1)
    scores = np.zeros((objects, 2, len(frames)))
    for column, frame in enumerate(frames):
        valid = truth[frame] != VOID
        for number in range(1, objects + 1):
            pair = truth[frame] == number, (predicted[frame] == number) & valid
            scores[number - 1, :, column] = region_similarity(*pair), boundary_measure(*pair)
    return scores
