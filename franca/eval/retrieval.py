"""Image retrieval by cosine similarity of CLS tokens, scored as revisited Oxford and Paris are."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from franca.eval.benchmark import Benchmark, Outcome, share
from franca.eval.inputs.contracts import Relevant, RetrievalInputs
from franca.eval.neighbours import cosine_search
from franca.eval.resampling import mean

_RANKED: Final = 100  # of each query are kept to be looked at
LEVELS: Final = ("medium", "hard", "easy")


def level_of(relevant: Relevant, level: str) -> tuple[list[int], list[int]]:
    """Return the positives of a level and what is left out of the ranking (Radenović et al., 2018).

    easy:   positives easy          left out: hard and junk
    medium: positives easy and hard           junk
    hard:   positives hard                    easy and junk
    """
    easy, hard, junk = map(list, (relevant.easy, relevant.hard, relevant.junk))
    return {
        "easy": (easy, hard + junk), "medium": (easy + hard, junk), "hard": (hard, easy + junk),
    }[level]  # fmt: skip


def ranks_of_positives(
    ranking: Int[np.ndarray, " images"], positives: Sequence[int], left_out: Sequence[int]
) -> Int[np.ndarray, " positives"]:
    """Return where the positives stand, from 0, in the ranking without what is left out."""
    kept = ranking[~np.isin(ranking, list(left_out))]
    return np.flatnonzero(np.isin(kept, list(positives)))


def average_precision(ranks: Int[np.ndarray, " positives"], *, positives: int) -> float:
    """Return the area under precision over recall by the trapezoid rule (revisitop's compute_ap).

    for j, rank in enumerate(ranks):                    # from 0, ascending
        before = 1 if rank == 0 else j / rank
        after = (j + 1) / (rank + 1)
        area += (before + after) / 2 / positives
    """
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    after = (found + 1) / (ranks + 1)
    return float(np.sum(before + after) / 2 / positives)


def precision_within(ranks: Int[np.ndarray, " positives"], *, best: int) -> float:
    """Return the share of positives among the first `best`, or up to the last positive."""
    counted = min(int(ranks.max()) + 1, best)
    return float(np.sum(ranks < counted) / counted)


def score_rankings(
    rankings: Int[np.ndarray, "queries images"],
    truth: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    precisions: Sequence[int],
) -> Mapping[str, NDArray[np.float64]]:
    """Score each query; NaN for those without a positive, which do not count.

    Args:
        rankings: rows of the database, best first.
        truth: for each query its positives and what is left out of its ranking.
        precisions: how many of the best are looked at.

    Returns:
        "average_precision" and, for each k, "precision@k", all [queries].
    """
    scores = {name: np.full(len(truth), np.nan) for name in ("average_precision",)}
    scores |= {f"precision@{best}": np.full(len(truth), np.nan) for best in precisions}
    for query, (positives, left_out) in enumerate(truth):
        if not positives:
            continue
        ranks = ranks_of_positives(rankings[query], positives, left_out)
        scores["average_precision"][query] = average_precision(ranks, positives=len(positives))
        for best in precisions:
            scores[f"precision@{best}"][query] = precision_within(ranks, best=best)
    return scores


def retrieval(
    inputs: RetrievalInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,
    precisions: Sequence[int],
    block: int,
) -> Outcome:
    """Rank the database for each query by cosine similarity.

    Args:
        inputs: descriptors and ground truth.
        seed: unused, nothing is random.
        device: where to search.
        precisions: numbers of best images whose precision is reported.
        block: rows per block of the search.

    Raises:
        ValueError: no query has a positive.
    """
    _, order = cosine_search(
        inputs.queries, inputs.database, neighbours=len(inputs.database), block=block, device=device
    )
    evidence: dict[str, NDArray[np.float64]] = {}
    for level in LEVELS:
        truth = [level_of(relevant, level) for relevant in inputs.relevant]
        if not any(positives for positives, _ in truth):
            continue
        for name, values in score_rankings(order.numpy(), truth, precisions=precisions).items():
            base, _, best = name.partition("@")
            evidence[f"{base}@{level}" + (f"_{best}" if best else "")] = values
    if not evidence:
        raise ValueError("no query of the retrieval set has a positive image")
    ranking = order[:, :_RANKED].int().numpy()
    return Outcome(evidence=evidence, predictions={"ranking": ranking})


BENCHMARK = Benchmark(
    name="retrieval",
    version="1.0",
    protocol="cosine similarity of CLS tokens, averaged over sizes, square images, queries cut to "
    "their box; mean average precision without junk",
    source="filipradenovic/revisitop@be39832; Radenović et al., CVPR 2018",
    kind="retrieval",
    quick=False,
    metrics=(
        share("map", "average_precision", mean),
        share("mp", "precision", mean),
    ),
    run=retrieval,
    predictions={"ranking": f"[queries, {_RANKED}] best rows of the database, junk included"},
)
