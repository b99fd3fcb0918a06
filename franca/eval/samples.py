"""A few images of a dense set with what a model makes of them: what the report's pictures show."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.benchmark import SegmentationInputs
from franca.eval.in_context import predict
from franca.eval.models import shows_attention
from franca.eval.overclustering import paint_clusters
from franca.eval.store import FeatureStore
from franca.eval.suite import Pair, Suite
from franca.eval.transforms import normalise

Arrays = dict[str, NDArray[Any]]
_NOT_OF_ONE_RUN = {"clusters", "runs"}


def sample_arrays(suite: Suite, dataset: str, *, tasks: Sequence[Pair], count: int) -> Arrays:
    """Return images from all over the test split with features, masks and what is painted on them.

    Args:
        suite: the model and the sets.
        dataset: a dense set.
        tasks: what is run; only benchmarks among them are painted.
        count: at most so many images.

    Returns:
        What `FeatureStore.samples` returns; attention [n, heads, patches] and norms [n, patches],
        of models that show them; segmented [n, side, side], classes painted in context; clustered
        [n, rows, columns], classes of as many clusters as there are classes.
    """
    images = suite.sets.segmented(dataset, test=True)
    spread = np.linspace(0, len(images) - 1, min(count, len(images)))
    chosen: list[int] = spread.round().astype(int).tolist()
    arrays = suite.sets.store.samples(images, chosen)
    arrays |= _inner(suite.sets.store, torch.from_numpy(arrays["images"]))
    in_context, overclustering = (Pair(name, dataset) for name in ("in_context", "overclustering"))
    common: dict[str, Any] = {"seed": suite.seed, "device": suite.sets.store.device}
    if in_context in tasks:
        inputs: SegmentationInputs = suite.prepared(in_context).inputs
        few = dataclasses.replace(inputs, test=inputs.test.choose(chosen))
        painted = predict(few, **common, **suite.parameters["in_context"])
        arrays["segmented"] = np.stack([mask.numpy() for mask in painted])
    if overclustering in tasks:
        settings = suite.parameters["overclustering"].items()
        arrays["clustered"] = paint_clusters(
            suite.prepared(overclustering).inputs,
            chosen,
            **common,
            **{name: value for name, value in settings if name not in _NOT_OF_ONE_RUN},
        )
    return arrays


@torch.inference_mode()
def _inner(store: FeatureStore, images: Tensor) -> Arrays:
    """Return attention of CLS and norms of patch tokens before the final norm, where shown."""
    model = store.model
    if not shows_attention(model):
        return {}
    pixels = normalise(images.to(store.device))
    raw = model.forward_intermediate(pixels, 1, norm=False)[-1].patches
    return {
        "attention": model.last_attention(pixels).to(torch.float16).cpu().numpy(),
        "norms": raw.float().norm(dim=2).cpu().numpy(),
    }
