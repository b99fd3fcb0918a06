"""Semantic correspondence: the patch of another image that looks most like a given keypoint.

Two protocols share the code. `keypoints` takes tokens after the final LayerNorm and the middles of
patches; `spair` is Probe3D's on SPair-71k, with tokens before the LayerNorm and its conventions for
coordinates (a patch found is its top left corner, while features are read between the middles of
the outer patches), which shift every prediction by up to half a patch.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from franca.eval.benchmark import Benchmark, Outcome, share
from franca.eval.objects import KeypointPair, PairInputs
from franca.eval.resampling import Evidence, Weights

Alignment = Literal["centre", "probe3d"]


def match(pair: KeypointPair, *, alignment: Alignment) -> Float[Tensor, "points 2"]:
    """Return where in the target each point of the source is found, as shares of its sides.

        for each point:
            feature = unit source feature, bilinear at the point
            found = the target patch with the largest cosine to it

    Args:
        pair: features and points.
        alignment: what a patch's coordinates are.
    """
    source, target = (normalize(tokens.float(), dim=1) for tokens in (pair.source, pair.target))
    rows, columns = pair.grid
    planes = source.T.unflatten(1, (rows, columns))[None]
    places = (2 * pair.source_points - 1).float()[None, None]
    corners = alignment == "probe3d"
    found = grid_sample(planes, places, align_corners=corners, padding_mode="border")[0, :, 0].T
    best = (normalize(found, dim=1) @ target.T).argmax(1)
    offset = 0.0 if corners else 0.5
    x, y = (best % columns + offset) / columns, (best // columns + offset) / rows
    found_at: Tensor = torch.stack([x, y], dim=1)
    return found_at


def errors(pair: KeypointPair, found: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
    """Return how far each match is from its true place, in longer sides of the target's box."""
    relative: Tensor = (found - pair.target_points.float()).norm(dim=1) / pair.target_extent
    return relative


def class_recall(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Average over classes the share of keypoints found, all keypoints of a class counting alike.

    Args:
        evidence: [pairs, 3] class, number of keypoints, number found.
        weights: [resamples, pairs] how often each pair counts.
    """
    members = np.eye(int(evidence[:, 0].max()) + 1)[evidence[:, 0].astype(int)]
    points = weights @ (members * evidence[:, 1:2])
    hits = weights @ (members * evidence[:, 2:])
    drawn = points > 0
    recall = np.where(drawn, hits / np.maximum(points, 1.0), 0.0)
    return np.asarray(recall.sum(1) / np.maximum(drawn.sum(1), 1), dtype=np.float64)


def keypoints(
    inputs: PairInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - a few points against one image: no work for a GPU
    thresholds: Sequence[float],
    alignment: Alignment,
) -> Outcome:
    """Find keypoints of one image in another, and count those found within a distance.

    Args:
        inputs: pairs with features.
        seed: unused, nothing is random.
        device: unused.
        thresholds: distances in longer sides of the object's box; the first is the headline.
        alignment: see `match`.
    """
    labels, distances, matches = [], [], []
    groups: list[str] = []
    for pair in inputs.pairs:
        found = match(pair, alignment=alignment)
        labels.append(pair.label)
        groups.append(pair.group)
        matches.append(found)
        distances.append(errors(pair, found))
    names = sorted(set(labels))
    evidence = {}
    for threshold in thresholds:
        counts = [
            (names.index(label), len(far), int((far < threshold).sum()))
            for label, far in zip(labels, distances, strict=True)
        ]
        evidence[f"found@{threshold:g}"] = np.array(counts)
    headline = evidence[f"found@{thresholds[0]:g}"]
    if len(set(groups)) > 1:
        for group in sorted(set(groups)):
            members = [each == group for each in groups]
            evidence[f"found@{thresholds[0]:g}-{group}"] = headline[members]
    predictions = {
        "place": torch.cat(matches).numpy(),
        "pair": np.repeat(np.arange(len(matches), dtype=np.int32), [len(one) for one in matches]),
    }
    return Outcome(evidence=evidence, predictions=predictions, details={"classes": names})


BENCHMARK = Benchmark(
    name="keypoints",
    version="1.0",
    protocol="nearest target patch of each source keypoint by cosine, after the final LayerNorm, "
    "middles of patches; share within a part of the object's box, mean over classes",
    source="SPair-71k, arXiv 1908.10543; coordinates ours",
    kind="pairs",
    quick=True,
    metrics=(share("pck", "found", class_recall),),
    run=partial(keypoints, alignment="centre"),
    predictions={
        "place": "[points] x, y in the target where each point was found, shares of its sides",
        "pair": "[points] number of the pair",
    },
)

SPAIR = replace(
    BENCHMARK,
    name="spair",
    protocol="as keypoints, with tokens before the final LayerNorm and Probe3D's coordinates",
    source="mbanani/probe3d@a1f1464 evaluate_spair_correspondence.py; Franca, Table 10",
    kind="raw_pairs",
    quick=False,
    run=partial(keypoints, alignment="probe3d"),
)
