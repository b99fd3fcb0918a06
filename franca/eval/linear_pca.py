"""Linear probing on few principal components: how much the widest directions of a feature hold."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from franca.eval.benchmark import (
    CLASSES,
    Benchmark,
    ClassificationInputs,
    ImageFeatures,
    Outcome,
    share,
)
from franca.eval.knn import principal_axes
from franca.eval.linear import linear_cached
from franca.eval.resampling import mean


def linear_pca(
    inputs: ClassificationInputs,
    *,
    seed: int,
    device: torch.device,
    pca_dims: Sequence[int],
    **settings: Any,
) -> Outcome:
    """Train and choose linear heads on the first principal components of the CLS token.

        for each number of components:
            rotate all features onto as many directions of greatest variance among the training ones
            do as `linear_cached`

    Args:
        inputs: features and labels.
        seed: of initial weights, batches and the held-out share.
        device: where to train.
        pca_dims: numbers of components; those beyond the width of the feature are left out.
        settings: of `linear_cached`, with `blocks` [1].
    """
    centre, axes = principal_axes(inputs.train.cls)
    evidence, predictions, details = {}, {}, {}
    for kept in (kept for kept in pca_dims if kept <= len(axes)):
        few = ClassificationInputs(
            train=_project(inputs.train, centre, axes[:, :kept]),
            test=_project(inputs.test, centre, axes[:, :kept]),
            num_classes=inputs.num_classes,
        )
        outcome = linear_cached(few, seed=seed, device=device, **settings)
        evidence[f"correct@pca{kept}"] = outcome.evidence["correct"]
        predictions[f"predicted@pca{kept}"] = outcome.predictions["predicted"]
        details[f"pca{kept}"] = outcome.details["chosen"]
    return Outcome(evidence=evidence, predictions=predictions, details=details)


def _project(
    features: ImageFeatures, centre: Float[Tensor, " dim"], axes: Float[Tensor, "dim kept"]
) -> ImageFeatures:
    """Return the components as CLS token and as mean patch: no head reads anything else."""
    components = ((features.cls - centre) @ axes).float()
    return ImageFeatures(
        cls_blocks=components[:, None], mean_patch=components, labels=features.labels
    )


BENCHMARK = Benchmark(
    name="linear_pca",
    version="1.0",
    protocol="linear heads on the first principal components of cached CLS tokens, fitted on train",
    source="Franca, Table 9",
    kind="classification",
    quick=False,
    metrics=(share("top1", "correct", mean, "wilson"),),
    run=linear_pca,
    predictions=CLASSES,
)
