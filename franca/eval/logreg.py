"""L2-regularised logistic regression on CLS tokens, the penalty chosen on images held out."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from franca.eval.benchmark import CLASSES, Benchmark, ClassificationInputs, Outcome, share
from franca.eval.heads import split_held_out
from franca.eval.resampling import mean, mean_per_class

_LOGGER = logging.getLogger(__name__)


def fit_logreg(
    features: Float[np.ndarray, "images dim"],
    labels: Int[np.ndarray, " images"],
    *,
    inverse_penalty: float,
    max_iterations: int,
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Minimise C * sum of cross-entropies + ||W||² / 2 with a free intercept (lbfgs, float64).

    The official probe calls cuML, which minimises the same objective on a GPU.

    Args:
        features: not normalised.
        labels: at least two classes.
        inverse_penalty: C.
        max_iterations: of lbfgs.
        tolerance: of lbfgs, on the largest entry of the gradient.

    Returns:
        Weights [classes present, dim], intercepts [classes present], and whether it converged. Two
        classes give one row, the binary formulation.
    """
    # Imported here because it takes a second, and most calls do not need it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        raise ValueError("the training images are all of one class: a classifier needs two")
    model = LogisticRegression(C=inverse_penalty, max_iter=max_iterations, tol=tolerance)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features.astype(np.float64), labels)
    return model.coef_, model.intercept_, not caught


def predict(
    features: Float[np.ndarray, "images dim"],
    weights: Float[np.ndarray, "rows dim"],
    intercepts: Float[np.ndarray, " rows"],
    classes: Int[np.ndarray, " classes"],
) -> NDArray[np.int64]:
    """Return the predicted class of each image, whether the model has one row or one per class."""
    logits = features.astype(np.float64) @ weights.T + intercepts
    column = (logits[:, 0] > 0).astype(np.int64) if len(weights) == 1 else logits.argmax(1)
    return np.asarray(classes[column], dtype=np.int64)


@dataclass(frozen=True)
class _Split:
    """Features and labels of both splits as arrays."""

    train: NDArray[np.float32]
    labels: NDArray[np.int64]
    test: NDArray[np.float32]
    truth: NDArray[np.int64]

    def standardised(self) -> "_Split":
        """Return the features shifted and scaled by the statistics of train."""
        mean, spread = self.train.mean(0), self.train.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = ((part - mean) / spread for part in (self.train, self.test))
        train, test = (part.astype(np.float32) for part in scaled)
        return replace(self, train=train, test=test)


def _choose_and_predict(
    split: _Split,
    *,
    held_out: NDArray[np.int64],
    kept: NDArray[np.int64],
    inverse_penalties: Sequence[float],
    max_iterations: int,
    tolerance: float,
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Return the class of each test image as predicted, and what was chosen."""
    stuck: set[float] = set()

    def fitted(
        rows: NDArray[np.int64], inverse_penalty: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        weights, intercepts, converged = fit_logreg(
            split.train[rows],
            split.labels[rows],
            inverse_penalty=inverse_penalty,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        if not converged:
            stuck.add(inverse_penalty)
        return weights, intercepts, np.unique(split.labels[rows])

    accuracies = []
    for value in inverse_penalties:
        guesses = predict(split.train[held_out], *fitted(kept, value))
        accuracies.append(float(np.mean(guesses == split.labels[held_out])))
    chosen = inverse_penalties[int(np.argmax(accuracies))]
    model = fitted(np.arange(len(split.labels)), chosen)
    if stuck:
        _LOGGER.warning("logreg: lbfgs stopped at max_iterations for C in %s", sorted(stuck))
    return predict(split.test, *model), {"inverse_penalty": chosen, "not_converged": sorted(stuck)}


def logreg(
    inputs: ClassificationInputs,
    *,
    seed: int,
    device: torch.device,  # noqa: ARG001 - every benchmark takes one; this one runs on the CPU
    inverse_penalties: Sequence[float],
    max_iterations: int,
    tolerance: float,
    standardised: bool,
) -> Outcome:
    """Choose C on images held out (the first wins ties), refit on all, score test.

    Held out is the set's own validation split, or a tenth of train where it has none.

    The official protocol takes the features as they are. An untrained backbone with LayerScale
    1e-5 gives nearly the same CLS token for every image, which the penalty then hides; the
    standardised variant is fair to it.

    Args:
        inputs: features and labels; the CLS token of the last block is used.
        seed: of the held-out tenth.
        device: unused.
        inverse_penalties: values of C in the order of preference.
        max_iterations: of lbfgs.
        tolerance: of lbfgs.
        standardised: also report the variant on standardised features.

    Raises:
        ValueError: the training images are all of one class.
    """
    learnt = [part for part in (inputs.train, inputs.validation) if part is not None]
    split = _Split(
        train=np.concatenate([part.cls.numpy() for part in learnt]),
        labels=np.concatenate([part.labels.numpy() for part in learnt]),
        test=inputs.test.cls.numpy(),
        truth=inputs.test.labels.numpy(),
    )
    kept, held_out = _held_out(inputs, seed=seed)
    variants = {"": split} | ({"@standardised": split.standardised()} if standardised else {})
    evidence: dict[str, NDArray[Any]] = {}
    predictions = {}
    details = {}
    for variant, part in variants.items():
        guesses, details["logreg" + variant] = _choose_and_predict(
            part,
            held_out=held_out,
            kept=kept,
            inverse_penalties=inverse_penalties,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        correct = guesses == split.truth
        predictions["predicted" + variant] = guesses.astype(np.int32)
        evidence["correct" + variant] = correct
        pairs = np.stack([split.truth, correct.astype(np.int64)], axis=1)
        evidence["class_and_correct" + variant] = pairs
    return Outcome(evidence=evidence, predictions=predictions, details=details)


def _held_out(
    inputs: ClassificationInputs, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of train and validation together to fit on, and those to choose C on."""
    count = len(inputs.train.labels)
    if inputs.validation is not None:
        rows = np.arange(count + len(inputs.validation.labels))
        return rows[:count], rows[count:]
    kept, held_out = split_held_out(count, seed=seed, purpose="evaluate/logreg/held_out")
    return kept.numpy(), held_out.numpy()


BENCHMARK = Benchmark(
    name="logreg",
    version="1.1",
    protocol="L2-regularised logistic regression on the CLS token of centre crops whose short side "
    "is whole, C chosen on the validation split or a tenth of train",
    source="facebookresearch/dinov2@b8931f7 eval/log_regression.py, cuML replaced by scikit-learn",
    kind="fine_grained",
    quick=False,
    metrics=(
        share("top1", "correct", mean, "wilson"),
        share("mean_per_class", "class_and_correct", mean_per_class),
    ),
    run=logreg,
    predictions=CLASSES,
)
