"""Weighted k-nearest-neighbour classification, and how it holds up in fewer dimensions."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from franca.eval.benchmark import CLASSES, Benchmark, ClassificationInputs, Outcome, share
from franca.eval.neighbours import cosine_search, without_self
from franca.eval.resampling import mean
from franca.randomness import generator


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


def few_shot_rows(
    labels: Int[Tensor, " images"], *, shots: int, seed: int, attempt: int
) -> Int[Tensor, " chosen"]:
    """Draw `shots` images of every class, or all of a class that has fewer."""
    order = torch.randperm(len(labels), generator=generator(seed, "evaluate/few_shot", attempt))
    classes = labels[order]
    kept = [order[classes == label][:shots] for label in classes.unique()]
    return torch.cat(kept)


def principal_axes(points: Float[Tensor, "points dim"]) -> tuple[Tensor, Tensor]:
    """Return the mean [dim] and the principal axes [dim, dim] of points, largest variance first."""
    exact = points.double()
    centre = exact.mean(0)
    covariance = torch.linalg.eigh((exact - centre).T @ (exact - centre) / len(points))
    return centre, covariance.eigenvectors.flip(1)


def _classify(
    queries: Float[Tensor, "queries dim"],
    bank: Float[Tensor, "bank dim"],
    labels: Int[Tensor, " bank"],
    *,
    counts: Sequence[int],
    temperature: float,
    num_classes: int,
    block: int,
    device: torch.device,
    skip_self: bool = False,
) -> dict[int, Float[Tensor, "queries classes"]]:
    """Score the classes by the votes of the nearest rows, the query's own left out if asked."""
    similarity, index = cosine_search(
        queries, bank, neighbours=max(counts) + skip_self, block=block, device=device
    )
    if skip_self:
        similarity, index = without_self(similarity, index)
    return vote(
        similarity, labels[index], counts=counts, temperature=temperature, num_classes=num_classes
    )


def knn(
    inputs: ClassificationInputs,
    *,
    seed: int,
    device: torch.device,
    neighbours: Sequence[int],
    headline: int,
    temperature: float,
    halvings: int,
    pca_dims: Sequence[int],
    shots: Sequence[int],
    attempts: int,
    leave_one_out: bool,
    block: int,
) -> Outcome:
    """Classify test images by their neighbours among the training images.

    Args:
        inputs: features and labels.
        seed: of the few images a class.
        device: where to search.
        neighbours: numbers of neighbours to report.
        headline: the number of neighbours of the variants below.
        temperature: of the vote.
        halvings: also keep only the first dim/2, …, dim/2^halvings dimensions (Matryoshka).
        pca_dims: also keep only so many principal components of the training features.
        shots: also learn from so few images of each class, of which no more than that vote.
        attempts: draws of those, averaged image by image.
        leave_one_out: also classify each training image by the others.
        block: rows per block of the search.
    """
    train, test = inputs.train, inputs.test
    classify = partial(
        _classify,
        temperature=temperature,
        num_classes=inputs.num_classes,
        block=block,
        device=device,
    )
    first = classify(test.cls, train.cls, train.labels, counts=neighbours)
    scores = {f"k{count}": score for count, score in first.items()}
    dim = train.cls.shape[1]
    for power in range(1, halvings + 1):
        if kept := dim >> power:
            parts = (test.cls[:, :kept], train.cls[:, :kept], train.labels)
            scores[f"d/{2**power}"] = classify(*parts, counts=[headline])[headline]
    centre, axes = principal_axes(train.cls)
    for kept in (kept for kept in pca_dims if kept <= dim):
        queries, bank = (((part.cls - centre) @ axes[:, :kept]).float() for part in (test, train))
        scores[f"pca{kept}"] = classify(queries, bank, train.labels, counts=[headline])[headline]
    evidence, predictions = {}, {}
    for variant, score in scores.items():
        for name, ranks in (("correct", 1), ("correct5", 5)):
            hits = correct_within(score, test.labels, ranks=ranks)
            evidence[f"{name}@{variant}"] = hits.numpy()
        predictions[f"predicted@{variant}"] = score.argmax(1).int().numpy()
    for few in shots:
        total = torch.zeros(len(test.labels))
        for attempt in range(attempts):
            rows = few_shot_rows(train.labels, shots=few, seed=seed, attempt=attempt)
            count = min(headline, few)
            votes = classify(test.cls, train.cls[rows], train.labels[rows], counts=[count])[count]
            total += correct_within(votes, test.labels, ranks=1)
        evidence[f"few_shot@{few}"] = (total / attempts).numpy()
    if leave_one_out:
        left_out = classify(train.cls, train.cls, train.labels, counts=[headline], skip_self=True)
        hits = correct_within(left_out[headline], train.labels, ranks=1)
        evidence[f"left_out@k{headline}"] = hits.numpy()
    return Outcome(evidence=evidence, predictions=predictions)


BENCHMARK = Benchmark(
    name="knn",
    version="1.1",
    protocol="k nearest neighbours of the L2-normalised CLS token, softmax-weighted vote",
    source="facebookresearch/dinov2@b8931f7 eval/knn.py; Franca, Tables 2 and 4, Fig. 4",
    kind="classification",
    quick=True,
    metrics=(
        share("top1", "correct", mean, "wilson"),
        share("top5", "correct5", mean, "wilson"),
        share("few_shot_top1", "few_shot", mean),
        share("left_out_top1", "left_out", mean, "wilson"),
    ),
    run=knn,
    predictions=CLASSES,
)
