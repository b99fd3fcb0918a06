"""Out-of-distribution detection with frozen features: eight detectors and their metrics.

Every detector returns a confidence, larger for known images. As in OpenOOD, metrics take *novel* as
the positive class; most papers take known as positive, which changes the FPR (not the AUROC), so
that one is reported as `fpr95_known`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from franca.eval.benchmark import Benchmark, MetricSpec, NoveltyInputs, Outcome
from franca.eval.logreg import fit_logreg
from franca.eval.resampling import Evidence, Statistic, Weights
from franca.eval.results import Direction

Confidence = Float[Tensor, " images"]
_BLOCK = 2**14


@dataclass(frozen=True)
class KnownClasses:
    """Training features, their classes and a linear classifier on them, in float64."""

    features: Float[Tensor, "images dim"]
    labels: Int[Tensor, " images"]
    weights: Float[Tensor, "classes dim"]
    bias: Float[Tensor, " classes"]

    def logits(self, x: Float[Tensor, "queries dim"]) -> Float[Tensor, "queries classes"]:
        """Return the classifier's logits."""
        return x @ self.weights.T + self.bias


def max_softmax(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return the largest class probability (MSP)."""
    return known.logits(x).softmax(1).amax(1)


def max_logit(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return the largest logit (MLS)."""
    return known.logits(x).amax(1)


def energy(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return the log-sum-exp of the logits (EBO)."""
    return known.logits(x).logsumexp(1)


def _unit(x: Tensor) -> Tensor:
    unit: Tensor = normalize(x, dim=1)
    return unit + 1e-10  # OpenOOD adds it after the division


def kth_neighbour(
    known: KnownClasses, x: Float[Tensor, "queries dim"], *, neighbours: int
) -> Confidence:
    """Return minus the squared distance to the k-th nearest normalised training feature."""
    bank = _unit(known.features)
    count = min(neighbours, len(bank))
    parts = [torch.cdist(rows, bank).square() for rows in _unit(x).split(_BLOCK)]
    return -torch.cat([part.kthvalue(count, dim=1).values for part in parts])


def nearest_guide(
    known: KnownClasses, x: Float[Tensor, "queries dim"], *, neighbours: int
) -> Confidence:
    """Return energy times the mean similarity to the best energy-scaled features (NNGuide)."""
    bank = _unit(known.features) * energy(known, known.features)[:, None]
    products = _unit(x) @ bank.T
    return energy(known, x) * products.topk(min(neighbours, len(bank)), dim=1).values.mean(1)


def _mahalanobis(x: Tensor, mean: Tensor, residuals: Tensor) -> Tensor:
    """Return squared distances under the covariance of residuals, which are centred once more."""
    covariance = torch.cov(residuals.T, correction=0)
    precision: Tensor = torch.linalg.pinv(covariance, hermitian=True)
    return ((x - mean) @ precision * (x - mean)).sum(1)


def _class_distances(known: KnownClasses, x: Tensor) -> Tensor:
    present = known.labels.unique()
    means = torch.stack([known.features[known.labels == c].mean(0) for c in present])
    residuals = known.features - means[torch.searchsorted(present, known.labels)]
    return torch.stack([_mahalanobis(x, mean, residuals) for mean in means], dim=1)


def mahalanobis(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return minus the distance to the nearest class under the shared covariance (MDS)."""
    return -_class_distances(known, x).amin(1)


def relative_mahalanobis(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return the Mahalanobis confidence relative to one Gaussian for all classes (RMDS)."""
    mean = known.features.mean(0)
    background = _mahalanobis(x, mean, known.features - mean)
    return background - _class_distances(known, x).amin(1)


def virtual_logit(
    known: KnownClasses, x: Float[Tensor, "queries dim"], *, principal_dims: int
) -> Confidence:
    """Return energy minus the scaled norm outside the principal subspace (ViM).

    The origin is where all logits are zero, -pinv(W) b; the scale makes the mean residual of the
    training features as large as their mean largest logit.
    """
    origin = -torch.linalg.pinv(known.weights) @ known.bias
    centred = known.features - origin
    axes = torch.linalg.eigh(centred.T @ centred / len(centred)).eigenvectors.flip(1)
    outside = axes[:, principal_dims:]
    residual = (centred @ outside).norm(dim=1).mean()
    scale = max_logit(known, known.features).mean() / residual.clamp_min(1e-12)
    confidence: Tensor = energy(known, x) - scale * ((x - origin) @ outside).norm(dim=1)
    return confidence


def _cumulative(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true and false positives as the threshold falls, [resamples, thresholds + 1].

    Equal scores share a threshold; the first column is the threshold that nothing passes.
    """
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    ordered = weights[:, order]
    counts = []
    for members in (positive[order], ~positive[order]):
        total = np.cumsum(ordered * members, axis=1)[:, last_of_ties]
        counts.append(np.concatenate([np.zeros((len(weights), 1)), total], axis=1))
    return counts[0], counts[1]


def _rates(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, false = _cumulative(positive, score, weights)
    return true / np.maximum(true[:, -1:], 1e-12), false / np.maximum(false[:, -1:], 1e-12)


def _area_under_roc(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    true, false = _rates(evidence[:, 0] > 0, -evidence[:, 1], weights)
    return np.asarray(np.trapezoid(true, false, axis=1), dtype=np.float64)


def _false_positives(evidence: Evidence, weights: Weights, *, novel: bool) -> NDArray[np.float64]:
    """Return the false-positive rate at the first threshold with 95 % true positives."""
    sign = -1.0 if novel else 1.0
    true, false = _rates((evidence[:, 0] > 0) == novel, sign * evidence[:, 1], weights)
    first = (true >= 0.95).argmax(1)
    return np.asarray(np.take_along_axis(false, first[:, None], 1)[:, 0], dtype=np.float64)


def _area_under_precision(
    evidence: Evidence, weights: Weights, *, novel: bool
) -> NDArray[np.float64]:
    sign = -1.0 if novel else 1.0
    true, false = _cumulative((evidence[:, 0] > 0) == novel, sign * evidence[:, 1], weights)
    passed = true + false
    precision = np.where(passed > 0, true / np.maximum(passed, 1e-12), 1.0)
    recall = true / np.maximum(true[:, -1:], 1e-12)
    return np.asarray(np.trapezoid(precision, recall, axis=1), dtype=np.float64)


# Statistics of [images, 2] evidence: is novel, confidence.
STATISTICS: dict[str, Statistic] = {
    "auroc": _area_under_roc,
    "fpr95": partial(_false_positives, novel=True),
    "fpr95_known": partial(_false_positives, novel=False),
    "aupr_known": partial(_area_under_precision, novel=False),
    "aupr_novel": partial(_area_under_precision, novel=True),
}


def ood(
    inputs: NoveltyInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - float64 throughout: the CPU is as fast
    neighbours: Sequence[int],
    guide_neighbours: int,
    principal_dims: Sequence[int],
    inverse_penalty: float,
    max_iterations: int,
    tolerance: float,
) -> Outcome:
    """Score known test images and novel ones with every detector.

    Args:
        inputs: features of the known set and of the novel images.
        seed: unused, nothing is random.
        device: unused.
        neighbours: ranks of the k-nearest-neighbour detector.
        guide_neighbours: neighbours of NNGuide.
        principal_dims: sizes of ViM's principal subspace; those that leave no residual are skipped.
        inverse_penalty: C of the logistic regression behind the detectors that need a classifier.
        max_iterations: of the same.
        tolerance: of the same.
    """
    train = inputs.known.train
    weights, bias, _ = fit_logreg(
        train.cls.numpy(),
        train.labels.numpy(),
        inverse_penalty=inverse_penalty,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    if len(weights) == 1:  # the binary formulation has one row: the other class's logit is 0
        weights, bias = np.vstack([0 * weights, weights]), np.array([0.0, *bias])
    known = KnownClasses(
        features=train.cls.double(),
        labels=train.labels,
        weights=torch.from_numpy(weights),
        bias=torch.from_numpy(bias),
    )
    detectors: dict[str, Callable[[KnownClasses, Tensor], Tensor]] = {
        "msp": max_softmax,
        "max_logit": max_logit,
        "energy": energy,
        "mahalanobis": mahalanobis,
        "relative_mahalanobis": relative_mahalanobis,
        "nnguide": partial(nearest_guide, neighbours=guide_neighbours),
    }
    detectors |= {f"knn{k}": partial(kth_neighbour, neighbours=k) for k in neighbours}
    usable = [dims for dims in principal_dims if dims < known.features.shape[1]]
    detectors |= {f"vim{d}": partial(virtual_logit, principal_dims=d) for d in usable}
    queries = torch.cat([inputs.known.test.cls, inputs.novel]).double()
    novel = torch.arange(len(queries)) >= len(inputs.known.test.cls)
    return Outcome(
        evidence={
            f"detection@{name}": torch.stack([novel.double(), detect(known, queries)], 1).numpy()
            for name, detect in detectors.items()
        }
    )


def _spec(name: str, direction: Direction) -> MetricSpec:
    return MetricSpec(name, direction, "fraction", "detection", STATISTICS[name], "percentile")


BENCHMARK = Benchmark(
    name="ood",
    version="1.0",
    protocol="detectors on the CLS token; classifier: logistic regression; novel is positive",
    source="Jingkang50/OpenOOD@3c35632; Franca, Fig. 9 (detector not stated there)",
    kind="novelty",
    quick=False,
    metrics=(
        _spec("auroc", "higher"),
        _spec("fpr95", "lower"),
        _spec("fpr95_known", "lower"),
        _spec("aupr_known", "higher"),
        _spec("aupr_novel", "higher"),
    ),
    run=ood,
)
