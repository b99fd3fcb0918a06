"""Out-of-distribution detection with frozen features: eight detectors on several novel sets.

Every detector returns a confidence, larger for known images; what follows from it is in
`franca.eval.detection`. Each novel set is declared near or far. Metrics carry the detector and the
group, `auroc@knn50-near`: the plain mean over the group's sets, as OpenOOD; where a group has
several, each also has its own, `auroc@knn50-ninco`. Where a novel set has validation images, k-NN's
rank and ViM's dimension are chosen on them, as OpenOOD does: `auroc@knn-near`, `auroc@vim-near`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from franca.eval.benchmark import (
    Benchmark,
    ImageFeatures,
    IntervalMethod,
    MetricSpec,
    NoveltyInputs,
    Outcome,
    share,
)
from franca.eval.detection import STATISTICS
from franca.eval.heads import split_held_out
from franca.eval.logreg import fit_logreg
from franca.eval.resampling import mean, point_estimate
from franca.eval.results import Direction

Confidence = Float[Tensor, " images"]
Detector = Callable[["KnownClasses", Tensor], Tensor]
_BLOCK_ELEMENTS = 2**26  # of a matrix of queries by training images: half a gigabyte


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


def _blocks(x: Tensor, bank: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = x.split(max(1, _BLOCK_ELEMENTS // len(bank)))
    return parts


def kth_neighbour(
    known: KnownClasses, x: Float[Tensor, "queries dim"], *, neighbours: int
) -> Confidence:
    """Return minus the squared distance to the k-th nearest normalised training feature."""
    bank = _unit(known.features)
    count = min(neighbours, len(bank))
    parts = [torch.cdist(rows, bank).square() for rows in _blocks(_unit(x), bank)]
    return -torch.cat([part.kthvalue(count, dim=1).values for part in parts])


def nearest_guide(
    known: KnownClasses, x: Float[Tensor, "queries dim"], *, neighbours: int
) -> Confidence:
    """Return energy times the mean similarity to the best energy-scaled features (NNGuide)."""
    bank = _unit(known.features) * energy(known, known.features)[:, None]
    count = min(neighbours, len(bank))
    best = [(rows @ bank.T).topk(count, dim=1).values for rows in _blocks(_unit(x), bank)]
    return energy(known, x) * torch.cat(best).mean(1)


def _precision(residuals: Float[Tensor, "images dim"]) -> Float[Tensor, "dim dim"]:
    """Return the inverse covariance of residuals, which are centred once more."""
    covariance = torch.cov(residuals.T, correction=0)
    precision: Tensor = torch.linalg.pinv(covariance, hermitian=True)
    return precision


def _distances(x: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    return ((x - mean) @ precision * (x - mean)).sum(1)


def _nearest_class(known: KnownClasses, x: Tensor) -> Tensor:
    """Return the squared Mahalanobis distance to the nearest class under the shared covariance."""
    present = known.labels.unique()
    means = torch.stack([known.features[known.labels == c].mean(0) for c in present])
    precision = _precision(known.features - means[torch.searchsorted(present, known.labels)])
    distances = [_distances(x, mean, precision) for mean in means]
    return torch.stack(distances).amin(0)


def mahalanobis(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return minus the distance to the nearest class under the shared covariance (MDS)."""
    return -_nearest_class(known, x)


def relative_mahalanobis(known: KnownClasses, x: Float[Tensor, "queries dim"]) -> Confidence:
    """Return the Mahalanobis confidence relative to one Gaussian for all classes (RMDS)."""
    mean = known.features.mean(0)
    background = _distances(x, mean, _precision(known.features - mean))
    return background - _nearest_class(known, x)


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


def fit_known(
    train: ImageFeatures, *, inverse_penalty: float, max_iterations: int, tolerance: float
) -> tuple[KnownClasses, bool]:
    """Fit the classifier that some detectors need: logistic regression on the CLS token.

    Returns:
        The known classes, and whether the fit converged.
    """
    weights, bias, converged = fit_logreg(
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
    return known, converged


def _comparisons(inputs: NoveltyInputs) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield what is reported: groups, near ones first, then the sets of groups with several."""
    groups = {
        group: tuple(i for i, each in enumerate(inputs.novel) if each.group == group)
        for group in ("near", "far")
    }
    yield from ((group, members) for group, members in groups.items() if members)
    for members in groups.values():
        if len(members) > 1:
            yield from ((inputs.novel[i].name, (i,)) for i in members)


def ood(
    inputs: NoveltyInputs,
    *,
    seed: int,
    device: torch.device,  # noqa: ARG001 - float64 throughout: the CPU is as fast
    neighbours: Sequence[int],
    guide_neighbours: int,
    principal_dims: Sequence[int],
    validation_share: float,
    inverse_penalty: float,
    max_iterations: int,
    tolerance: float,
) -> Outcome:
    """Score known test images and those of every novel set with every detector.

    Args:
        inputs: features of the known set and of the novel ones.
        seed: of the known images to choose settings on.
        device: unused.
        neighbours: ranks of the k-nearest-neighbour detector; where there are novel validation
            images, the best on those is also reported without its number.
        guide_neighbours: neighbours of NNGuide.
        principal_dims: sizes of ViM's principal subspace; those that leave no residual are
            skipped; chosen likewise.
        validation_share: of the known test images, which then choose and are not scored.
        inverse_penalty: C of the logistic regression behind the detectors that need a classifier.
        max_iterations: of the same.
        tolerance: of the same.
    """
    known, converged = fit_known(
        inputs.known.train,
        inverse_penalty=inverse_penalty,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    detectors = _detectors(
        known,
        neighbours=neighbours,
        guide_neighbours=guide_neighbours,
        principal_dims=principal_dims,
    )
    tokens, labels = inputs.known.test.cls.double(), inputs.known.test.labels
    details: dict[str, Any] = {"converged": converged}
    swept: dict[str, str] = {}
    if inputs.validation is not None:
        kept, held_out = split_held_out(
            len(labels), seed=seed, purpose="evaluate/ood/validation", share=validation_share
        )
        swept = choose_settings(detectors, known, tokens[held_out], inputs.validation.double())
        tokens, labels = tokens[kept], labels[kept]
        details["chosen"] = swept
    parts = [tokens, *(each.cls.double() for each in inputs.novel)]
    guesses = known.labels.unique()[known.logits(tokens).argmax(1)]  # some may have no image
    evidence = {"correct": (guesses == labels).numpy()}
    for detector, detect in detectors.items():
        scored = detect(known, torch.cat(parts)).split([len(part) for part in parts])
        names = [detector, *(family for family, best in swept.items() if best == detector)]
        for name, members in _comparisons(inputs):
            rows = _detection(scored[0], [scored[1 + i] for i in members])
            evidence |= {f"detection@{each}-{name}": rows for each in names}
    predictions = {"predicted": guesses.int().numpy()}
    return Outcome(evidence=evidence, predictions=predictions, details=details)


def _detectors(
    known: KnownClasses,
    *,
    neighbours: Sequence[int],
    guide_neighbours: int,
    principal_dims: Sequence[int],
) -> dict[str, Detector]:
    detectors: dict[str, Detector] = {
        f"knn{k}": partial(kth_neighbour, neighbours=k) for k in neighbours
    }
    detectors |= {
        "msp": max_softmax,
        "max_logit": max_logit,
        "energy": energy,
        "mahalanobis": mahalanobis,
        "relative_mahalanobis": relative_mahalanobis,
        "nnguide": partial(nearest_guide, neighbours=guide_neighbours),
    }
    usable = [dims for dims in principal_dims if dims < known.features.shape[1]]
    return detectors | {f"vim{d}": partial(virtual_logit, principal_dims=d) for d in usable}


def choose_settings(
    detectors: Mapping[str, Detector],
    known: KnownClasses,
    held_out: Float[Tensor, "images dim"],
    novel: Float[Tensor, "novel dim"],
) -> dict[str, str]:
    """Return, for k-NN and ViM, the setting of highest AUROC on validation images (OpenOOD).

    Args:
        detectors: by name, "knn50"; the first of equals wins.
        known: what they learn from.
        held_out: known images that are not scored.
        novel: novel ones that are not.

    Returns:
        From "knn" and "vim", where there are any, to a name among the detectors.
    """
    chosen = {}
    for family in ("knn", "vim"):
        scores = {
            name: point_estimate(
                STATISTICS["auroc"], _detection(detect(known, held_out), [detect(known, novel)])
            )
            for name, detect in detectors.items()
            if name.removeprefix(family).isdigit()
        }
        if scores:
            chosen[family] = max(scores, key=scores.__getitem__)
    return chosen


def _detection(known: Confidence, novel: Sequence[Tensor]) -> NDArray[np.float64]:
    """Return [images, 2]: number of the set, of which the known one is 0, and confidence."""
    parts = [known, *novel]
    numbers = [torch.full_like(part, number) for number, part in enumerate(parts)]
    rows: NDArray[np.float64] = torch.stack([torch.cat(numbers), torch.cat(parts)], dim=1).numpy()
    return rows


def _spec(name: str, direction: Direction) -> MetricSpec:
    interval: IntervalMethod = "delong" if name == "auroc" else "stratified"
    return MetricSpec(name, direction, "fraction", "detection", STATISTICS[name], interval)


BENCHMARK = Benchmark(
    name="ood",
    version="2.1",
    protocol="detectors on the CLS token; classifier: logistic regression; novel is positive; "
    "near and far are means over their sets",
    source="Jingkang50/OpenOOD@3c35632; Franca, Fig. 9 (detector not stated there)",
    kind="novelty",
    quick=False,
    metrics=(
        _spec("auroc", "higher"),
        _spec("fpr95", "lower"),
        _spec("fpr95_known", "lower"),
        _spec("aupr_known", "higher"),
        _spec("aupr_novel", "higher"),
        share("known_top1", "correct", mean, "wilson"),
    ),
    run=ood,
    predictions={
        "predicted": "[known images] class; the detectors' confidences in every image are evidence"
    },
)
