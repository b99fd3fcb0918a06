"""A few images of a dense set with what a model makes of them: what the report's pictures show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.models import shows_attention
from franca.eval.overclustering import class_names
from franca.eval.results import evidence_path, predictions_path, read_arrays
from franca.eval.store import FeatureStore
from franca.eval.suite import Suite
from franca.eval.transforms import normalise

Arrays = dict[str, NDArray[Any]]


def sample_arrays(suite: Suite, dataset: str, *, folder: Path, count: int) -> Arrays:
    """Return images from all over the test split with features, masks and what is painted on them.

    Args:
        suite: the model and the sets.
        dataset: a dense set.
        folder: of the suite's results; what they hold is painted.
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
    arrays |= _segmented(folder, dataset, chosen)
    return arrays | _clustered(folder, dataset, chosen, suite.sets.declared(dataset).num_classes)


def _segmented(folder: Path, dataset: str, chosen: Sequence[int]) -> Arrays:
    file = predictions_path(folder, "in_context", dataset)
    if not file.is_file():
        return {}
    masks, _ = read_arrays(file)
    return {"segmented": np.stack([masks[f"predicted/{number:06d}"] for number in chosen])}


def _clustered(
    folder: Path, dataset: str, chosen: Sequence[int], num_classes: int | None
) -> Arrays:
    file = predictions_path(folder, "overclustering", dataset)
    maps = read_arrays(file)[0].get(f"cluster@K{num_classes}") if file.is_file() else None
    if maps is None:
        return {}
    evidence, _ = read_arrays(evidence_path(folder, "overclustering", dataset))
    names = class_names(evidence[f"confusion@K{num_classes}"][:, 0])
    return {"clustered": names[maps[chosen]]}


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
