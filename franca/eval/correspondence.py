"""Dense correspondence between views by the likeness of features, after Probe3D.

A match is right if the two points that it names are near each other in space, or near each other in
the second image. No map is learnt: what is measured is whether features keep a place's identity
when the camera moves. Recall is over the surest matches alone; how many there could be is not
measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from franca.eval.benchmark import Benchmark, Outcome, share
from franca.eval.cameras import carry, motion_between, project, rotation_angle
from franca.eval.geometry import PosedView, ViewPair, ViewPairInputs
from franca.eval.resampling import by_group, mean_of_groups

Unit = Literal["m", "px"]


@dataclass(frozen=True)
class Matches:
    """Points of one image and what they were found to be in another, the surest first.

    Attributes:
        first: of the first image, in its camera's frame, metres.
        second: of the second image, in its camera's frame.
        first_pixels: x, y on the grid of points, the middle of the first at 0.5, 0.5.
        second_pixels: likewise.
        weights: 1 - distance to the nearest / distance to the next, by cosine.
    """

    first: Float[Tensor, "matches 3"]
    second: Float[Tensor, "matches 3"]
    first_pixels: Float[Tensor, "matches 2"]
    second_pixels: Float[Tensor, "matches 2"]
    weights: Float[Tensor, " matches"]


def find_matches(
    features: tuple[Float[Tensor, "dim rows columns"], Float[Tensor, "dim rows columns"]],
    points: tuple[Float[Tensor, "3 height width"], Float[Tensor, "3 height width"]],
    *,
    count: int,
    block: int = 4096,
) -> Matches:
    """Find for points of the first image the likest in the second, and keep the surest.

        upsample features to the grid of points (bicubic); keep the places with positive depth
        for each place of the first image:
            d1, d2 = the two smallest cosine distances to places of the second
            weight = 1 - d1 / d2
        keep the `count` places of largest weight, each with the place at d1

    Args:
        features: of both images.
        points: what they show, in their cameras' frames; z is 0 where unknown.
        count: matches kept; fewer where fewer places are known.
        block: places compared at a time; changes no result.

    Returns:
        No match at all where the second image has fewer than two known places.
    """
    (first, places), (second, targets) = (
        _known(one, where) for one, where in zip(features, points, strict=True)
    )
    if len(targets) < 2:
        places, first = places[:0], first[:0]
    found = [_nearest_two(rows, second) for rows in first.split(block)] if len(first) else []
    weights = torch.cat([weight for weight, _ in found]) if found else first.new_zeros(0)
    nearest = torch.cat([index for _, index in found]) if found else places[:, 0]
    weights, kept = weights.topk(min(count, len(weights)))
    sources, ends = places[kept], targets[nearest[kept]]
    return Matches(
        first=points[0][:, sources[:, 0], sources[:, 1]].T,
        second=points[1][:, ends[:, 0], ends[:, 1]].T,
        first_pixels=sources.flip(1) + 0.5,
        second_pixels=ends.flip(1) + 0.5,
        weights=weights,
    )


def _known(
    features: Float[Tensor, "dim rows columns"], points: Float[Tensor, "3 height width"]
) -> tuple[Float[Tensor, "places dim"], Int[Tensor, "places 2"]]:
    """Return unit features, and rows and columns, of the places whose depth is known."""
    places = (points[2] > 0).nonzero()
    fine = interpolate(features[None], points.shape[1:], mode="bicubic")[0]
    return normalize(fine[:, places[:, 0], places[:, 1]].T, dim=1), places


def _nearest_two(rows: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    distances, indices = (1 - rows @ bank.T).topk(2, dim=1, largest=False)
    # Rounding makes the distance of equal features 0 or less; two of them are no sure match.
    nearest, following = distances.clamp_min(1e-12).unbind(1)
    return 1 - nearest / following, indices[:, 0]


def match_views(pair: ViewPair, *, scale: float, count: int) -> Matches:
    """Match two views.

    Args:
        pair: the views.
        scale: of the grid of points against the image.
        count: matches kept.
    """

    def grid(view: PosedView) -> Tensor:
        coarse: Tensor = interpolate(view.points[None], scale_factor=scale, mode="nearest")
        return coarse[0]

    def maps(view: PosedView) -> Tensor:
        planes: Tensor = view.tokens.float().T.unflatten(1, view.grid)
        return planes

    views = (pair.first, pair.second)
    return find_matches(
        (maps(views[0]), maps(views[1])), (grid(views[0]), grid(views[1])), count=count
    )


def match_errors(
    pair: ViewPair, found: Matches
) -> tuple[dict[Unit, Float[Tensor, " matches"]], float]:
    """Say how far each match is from the truth.

    Returns:
        Distances in space (metres) and in the second image (its pixels); degrees between the views.
    """
    motion = motion_between(pair.first.pose, pair.second.pose)
    moved = carry(found.first, motion)
    seen, wanted = (project(points, pair.second.intrinsics) for points in (found.second, moved))
    # What lies behind the second camera is nowhere in its image.
    behind = moved[:, 2] <= 0
    errors: dict[Unit, Tensor] = {
        "m": (moved - found.second).norm(dim=1),
        "px": (wanted - seen).norm(dim=1).masked_fill(behind, torch.inf),
    }
    return errors, rotation_angle(motion)


def correspondence(
    inputs: ViewPairInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - features are read pair by pair, the CPU is as fast
    scale: float,
    matches: int,
    metres: Sequence[float],
    pixels: Sequence[float],
    pixels_of_grid: bool,
    bins: Sequence[float],
    bin_unit: Unit,
    bin_threshold: float,
) -> Outcome:
    """Match the views of every pair, and count the matches near the truth.

    Args:
        inputs: pairs with features and geometry.
        seed: unused, nothing is random.
        device: unused.
        scale: of the grid of points against the image.
        matches: kept of each pair, the surest.
        metres: distances in space within which a match is right.
        pixels: distances in the second image.
        pixels_of_grid: whether those are in pixels of the grid, rather than of the image.
        bins: degrees between views; pairs are also reported from one to the next.
        bin_unit: which distance counts in the bins.
        bin_threshold: within which a match is right there; one of the thresholds of that unit.
    """
    shares: dict[str, list[float]] = {}
    angles, groups, kept = [], [], []
    for pair in inputs.pairs:
        found = match_views(pair, scale=scale, count=matches)
        errors, angle = match_errors(pair, found)
        kept.append(torch.cat([found.first_pixels, found.second_pixels], dim=1))
        groups.append(pair.group)
        if pixels_of_grid:
            errors["px"] = errors["px"] * scale
        angles.append(angle)
        wanted: dict[Unit, Sequence[float]] = {"m": metres, "px": pixels}
        for unit, thresholds in wanted.items():
            for threshold in thresholds:
                variant = f"{threshold:g}{unit}"
                near = errors[unit]
                shares.setdefault(f"right@{variant}", []).append(_share(near, threshold))
                shares.setdefault(f"area@{variant}", []).append(area_under_shares(near, threshold))
    evidence = {key: by_group(np.array(values), groups) for key, values in shares.items()}
    binned = f"right@{bin_threshold:g}{bin_unit}"
    for span, values in in_bins(np.array(shares[binned]), np.array(angles), bins).items():
        if not np.isnan(values).all():
            evidence[f"{binned}-{span}"] = by_group(values, groups)
    return Outcome(
        evidence=evidence,
        predictions={
            "match": torch.cat(kept).numpy().astype(np.uint16),  # the middle of the first is at 0.5
            "pair": np.repeat(np.arange(len(kept), dtype=np.int32), [len(one) for one in kept]),
        },
        details={"mean_degrees": round(float(np.mean(angles)), 3)},
    )


def in_bins(
    values: NDArray[np.float64], angles: NDArray[np.float64], edges: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    """Return the values of each bin, NaN where the angle is not from its edge to before the next.

    Args:
        values: of each pair.
        angles: of each pair, degrees.
        edges: of the bins, degrees, ascending.
    """
    return {
        f"{low:g}to{high:g}": np.where((angles >= low) & (angles < high), values, np.nan)
        for low, high in pairwise(edges)
    }


def area_under_shares(errors: Float[Tensor, " matches"], threshold: float) -> float:
    """Return the mean share of matches with a smaller error, over all errors up to a threshold.

        points = (0, 0), (smallest error, 1 / n), (second smallest, 2 / n), … up to the threshold,
                 and the last share once more at the threshold
        area under the straight lines between them / threshold

    Unlike the share at the threshold it tells close matches from those that just count (Probe3D's
    `error_auc`, after SuperGlue); not a number where there is no match.
    """
    if not len(errors):
        return float("nan")
    ordered = errors.double().sort().values
    reached = int((ordered < threshold).sum())
    shares = torch.arange(reached + 1, dtype=torch.float64) / len(ordered)
    x = torch.cat([ordered.new_zeros(1), ordered[:reached], ordered.new_tensor([threshold])])
    return float(torch.trapezoid(torch.cat([shares, shares[-1:]]), x) / threshold)


def _share(errors: Float[Tensor, " matches"], threshold: float) -> float:
    return float((errors < threshold).double().mean()) if len(errors) else float("nan")


_RULE = (
    "tokens before the final norm, bicubic to a grid of points with depth, nearest by cosine, the "
    "surest matches by ratio of distances; share near the truth, by degrees between views"
)
_SOURCE = "mbanani/probe3d@a1f1464"

RENDERED = Benchmark(
    name="correspondence",
    version="1.1",
    protocol=f"{_RULE}; intervals over scenes",
    source=f"{_SOURCE}; thresholds ours",
    kind="view_pairs",
    quick=True,
    metrics=(
        share("recall", "right", mean_of_groups),
        share("auc", "area", mean_of_groups),
    ),
    run=correspondence,
    predictions={
        "match": "[matches, 4] column and row in the first view and in the second, on the grid of "
        "points; of each pair the surest first",
        "pair": "[matches] number of the pair",
    },
)

NAVI = replace(
    RENDERED,
    name="navi",
    protocol=f"{_RULE}; pairs drawn by our rule; intervals over objects",
    source=f"{_SOURCE} evaluate_navi_correspondence.py",
    quick=False,
)

SCANNET = replace(
    NAVI,
    name="scannet",
    protocol=f"{_RULE}, in pixels of the grid; ImageNet's normalisation; intervals over scenes",
    source=f"{_SOURCE} evaluate_scannet_correspondence.py",
)
