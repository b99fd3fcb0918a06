"""Weighted k-nearest-neighbour classification, and how it holds up in fewer dimensions."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from franca.eval.benchmark import Benchmark, ClassificationInputs, MetricSpec, Outcome
from franca.eval.neighbours import cosine_search
from franca.eval.resampling import mean


def vote(
    similarity: Float[Tensor, "queries neighbours"],
    labels: Int[Tensor, "queries neighbours"],
    *,
    counts: Sequence[int],
    temperature: float,
    num_classes: int,
) -> dict[int, Float[Tensor, "queries classes"]]:
    """Let neighbours vote with softmax weights, for several numbers of neighbours at once.

        for each query, for each k:
            weight[i] = exp(similarity[i] / T) / sum_j exp(similarity[j] / T)   over all neighbours
            score[c] = sum of weight[i] over the first k neighbours i with label c

    The weights are shared by all k, as in DINOv2's KnnModule (facebookresearch/dinov2@b8931f7,
    dinov2/eval/knn.py); only the ranking of the classes matters.

    Args:
        similarity: cosine, best first.
        labels: class of each neighbour.
        counts: the numbers k of neighbours that vote; larger than available means all.
        temperature: of the softmax.
        num_classes: number of classes.
    """
    weights = (similarity / temperature).softmax(1)
    scores = {}
    for count in counts:
        empty = weights.new_zeros(len(weights), num_classes)
        scores[count] = empty.scatter_add(1, labels[:, :count], weights[:, :count])
    return scores


def correct_within(
    scores: Float[Tensor, "queries classes"], labels: Int[Tensor, " queries"], *, ranks: int
) -> Bool[Tensor, " queries"]:
    """Say whether the true class is among the best `ranks` classes (or all, if there are fewer)."""
    best = scores.topk(min(ranks, scores.shape[1]), dim=1).indices
    return (best == labels[:, None]).any(1)


def principal_axes(points: Float[Tensor, "points dim"]) -> tuple[Tensor, Tensor]:
    """Return the mean [dim] and the principal axes [dim, dim] of points, largest variance first."""
    exact = points.double()
    centre = exact.mean(0)
    covariance = torch.linalg.eigh((exact - centre).T @ (exact - centre) / len(points))
    return centre, covariance.eigenvectors.flip(1)


def knn(
    inputs: ClassificationInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,
    neighbours: Sequence[int],
    headline: int,
    temperature: float,
    halvings: int,
    pca_dims: Sequence[int],
    block: int,
) -> Outcome:
    """Classify test images by their neighbours among the training images.

    Args:
        inputs: features and labels.
        seed: unused, nothing is random.
        device: where to search.
        neighbours: numbers of neighbours to report.
        headline: the number of neighbours of the variants below.
        temperature: of the vote.
        halvings: also keep only the first dim/2, …, dim/2^halvings dimensions (Matryoshka).
        pca_dims: also keep only so many principal components of the training features.
        block: rows per block of the search.
    """
    train, test = inputs.train, inputs.test

    def classify(
        queries: Tensor, bank: Tensor, counts: Sequence[int]
    ) -> dict[int, Float[Tensor, "queries classes"]]:
        similarity, index = cosine_search(
            queries, bank, neighbours=max(counts), block=block, device=device
        )
        return vote(
            similarity,
            train.labels[index],
            counts=counts,
            temperature=temperature,
            num_classes=inputs.num_classes,
        )

    scores = {
        f"k{count}": score for count, score in classify(test.cls, train.cls, neighbours).items()
    }
    dim = train.cls.shape[1]
    for power in range(1, halvings + 1):
        if kept := dim >> power:
            truncated = classify(test.cls[:, :kept], train.cls[:, :kept], [headline])
            scores[f"d/{2**power}"] = truncated[headline]
    centre, axes = principal_axes(train.cls)
    for kept in (kept for kept in pca_dims if kept <= dim):
        queries, bank = (((part.cls - centre) @ axes[:, :kept]).float() for part in (test, train))
        scores[f"pca{kept}"] = classify(queries, bank, [headline])[headline]
    evidence = {}
    for variant, score in scores.items():
        for name, ranks in (("correct", 1), ("correct5", 5)):
            hits = correct_within(score, test.labels, ranks=ranks)
            evidence[f"{name}@{variant}"] = hits.numpy()
    return Outcome(evidence=evidence)


BENCHMARK = Benchmark(
    name="knn",
    version="1.0",
    protocol="k nearest neighbours of the L2-normalised CLS token, softmax-weighted vote",
    source="facebookresearch/dinov2@b8931f7 eval/knn.py; Franca, Tables 2 and 4, Fig. 4",
    kind="classification",
    quick=True,
    metrics=(
        MetricSpec("top1", "higher", "fraction", "correct", mean, "wilson"),
        MetricSpec("top5", "higher", "fraction", "correct5", mean, "wilson"),
    ),
    run=knn,
)
