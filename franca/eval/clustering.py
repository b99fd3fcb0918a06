"""k-means on patch tokens: seeded greedy k-means++, Lloyd iterations, several starts."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from franca.randomness import derive_seed

_BLOCK = 2**20  # distances held at a time: few enough for a processor's cache


@dataclass(frozen=True)
class Clustering:
    """Centres and the mean squared distance of the training points to their nearest centre."""

    centres: Float[Tensor, "clusters dim"]
    objective: float


def nearest_centre(
    points: Float[Tensor, "points dim"], centres: Float[Tensor, "clusters dim"]
) -> tuple[Int[Tensor, " points"], Float[Tensor, " points"]]:
    """Return the nearest centre of each point and the squared distance to it."""
    offset, axes = centres.square().sum(1), centres.T.contiguous()
    blocks = points.split(max(1, _BLOCK // len(centres)))
    # Without the points' own squares, which move no minimum: one pass over memory instead of three.
    best = [torch.addmm(offset, rows, axes, alpha=-2).min(1) for rows in blocks]
    smallest = torch.cat([each.values for each in best])
    index = torch.cat([each.indices for each in best])
    return index, (smallest + points.square().sum(1)).clamp_min(0)


def kmeans(
    points: Float[Tensor, "points dim"],
    *,
    clusters: int,
    iterations: int,
    restarts: int,
    points_per_cluster: int,
    seed: int,
) -> Clustering:
    """Cluster points; of several starts the one with the lowest objective wins.

    Args:
        points: any scale; standardise before if the dimensions differ.
        clusters: how many; fewer distinct points leave clusters empty.
        iterations: of Lloyd, fewer if nothing moves any more.
        restarts: number of starts.
        points_per_cluster: train on at most clusters x so many points, drawn at random (faiss does
            the same with 256).
        seed: of the draws.
    """
    source = torch.Generator(points.device).manual_seed(derive_seed(seed, "evaluate/kmeans"))
    limit = clusters * points_per_cluster
    order = torch.randperm(len(points), generator=source, device=points.device)
    sample = points if len(points) <= limit else points[order[:limit]]
    starts = (_lloyd(sample, clusters, iterations, source) for _ in range(restarts))
    return min(starts, key=lambda clustering: clustering.objective)


def _lloyd(points: Tensor, clusters: int, iterations: int, source: torch.Generator) -> Clustering:
    centres = _plus_plus(points, clusters, source)
    previous = torch.inf
    for _ in range(iterations):
        index, distance = nearest_centre(points, centres)
        objective = float(distance.mean())
        if objective >= previous * (1 - 1e-6):
            break
        previous = objective
        counts = torch.bincount(index, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, index, points)
        moved = sums / counts.clamp_min(1)[:, None]
        # An empty cluster keeps its centre: k-means++ makes them rare, duplicates unavoidable.
        centres = torch.where(counts[:, None] > 0, moved, centres)
    return Clustering(centres=centres, objective=float(nearest_centre(points, centres)[1].mean()))


def _plus_plus(points: Tensor, clusters: int, source: torch.Generator) -> Tensor:
    """Choose centres one by one, each drawn with probability proportional to squared distance.

    The greedy variant of scikit-learn: of a few draws, keep the one that lowers the objective most.
    """
    candidates = 2 + int(math.log(clusters))
    first = torch.randint(len(points), (1,), generator=source, device=points.device)
    centres = [points[first]]
    distance = (points - centres[0]).square().sum(1)
    for _ in range(clusters - 1):
        # Where all points coincide with a centre, any will do.
        mass = (distance if distance.sum() > 0 else torch.ones_like(distance)).double().cumsum(0)
        draws = torch.rand(candidates, generator=source, device=points.device, dtype=torch.float64)
        chosen = torch.searchsorted(mass, draws * mass[-1], right=True).clamp_max(len(points) - 1)
        distances = torch.cdist(points[chosen], points).square().minimum(distance)
        best = int(distances.sum(1).argmin())
        centres.append(points[chosen[best : best + 1]])
        distance = distances[best]
    return torch.cat(centres)
