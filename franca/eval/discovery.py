"""Unsupervised object discovery: one box an image from the keys of a frozen model, scored by CorLoc."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from franca.eval import lost, resampling, tokencut
from franca.eval.benchmark import Benchmark, DiscoveryInputs, MetricSpec, Outcome

_EPSILON = 1e-7  # the reference's, on heights and on unions
_MIN_IOU = 0.5


def box_iou(
    first: Float[np.ndarray, "n 4"], second: Float[np.ndarray, "m 4"]
) -> NDArray[np.float64]:
    """Return the IoU of every pair of boxes x0, y0, x1, y1, as the reference computes it.

    Widths get no pixel more, heights and unions 1e-7 (valeoai/LOST, after YOLOv5).
    """
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = overlap.clip(0).prod(-1)

    def area(box: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(
            (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1] + _EPSILON)
        )

    return np.asarray(shared / (area(a) + area(b) - shared + _EPSILON))


def is_located(box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "objects 4"]) -> bool:
    """Say whether a box overlaps any object's with an IoU of at least one half."""
    return bool((box_iou(box[None], boxes) >= _MIN_IOU).any())


def discovery(
    inputs: DiscoveryInputs, *, seed: int, device: torch.device, threshold: float, similar: int
) -> Outcome:
    """Locate one object in every image that has one, by TokenCut and by LOST.

    Args:
        inputs: keys and boxes; images without objects do not count, as in the references.
        seed: nothing is random.
        device: the graphs are cut on the CPU.
        threshold: of TokenCut, on the cosine of keys.
        similar: of LOST, patches looked at.

    Raises:
        ValueError: no image has an object.
    """
    del seed, device
    hits: dict[str, list[bool]] = {"tokencut": [], "lost": []}
    boxes: list[NDArray[np.float64]] = []
    empty = 0
    for image in inputs.images:
        if len(image.boxes) == 0:
            empty += 1
            continue
        keys = image.keys.float().numpy()
        found = {
            "tokencut": tokencut.cut(keys, grid=image.grid, threshold=threshold).component,
            "lost": lost.grow(keys, grid=image.grid, similar=similar).component,
        }
        for method, component in found.items():
            box = tokencut.component_box(component, patch_size=inputs.patch_size, size=image.size)
            hits[method].append(is_located(box, image.boxes))
            boxes.append(box)
    if not boxes:
        raise ValueError(
            f"none of {empty} images has an object: correct test_split of the evaluation set"
        )
    evidence: dict[str, NDArray[np.generic]] = {
        f"located@{method}": np.array(flags) for method, flags in hits.items()
    }
    evidence["boxes"] = np.stack(boxes).reshape(-1, 2, 4)
    return Outcome(evidence=evidence, details={"images_without_objects": empty})


BENCHMARK = Benchmark(
    name="discovery",
    version="1.0",
    protocol="one box an image from the last block's keys at the image's own size, zeros up to whole "
    "patches: TokenCut (4-connected side of the normalised cut that holds the seed) and LOST; "
    "IoU of at least 0.5 with any object, difficult ones too",
    source="YangtaoWANG95/TokenCut@fed52cd by Lanczos, valeoai/LOST@fcedbec; Franca, Table 8",
    kind="discovery",
    quick=False,
    metrics=(
        MetricSpec("corloc", "higher", "fraction", "located", resampling.mean, "wilson"),
    ),
    run=discovery,
)
