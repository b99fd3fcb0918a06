"""Object discovery: one box an image from the keys of a frozen model, scored by CorLoc.

What TokenCut and LOST have in common; `tokencut` and `lost` say how the object is found.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.ndimage import label

from franca.eval import resampling
from franca.eval.benchmark import Outcome, share
from franca.eval.objects import DiscoveryInputs

Grid = tuple[int, int]
Find = Callable[[NDArray[np.float32], Grid], NDArray[np.bool_]]
"""From keys [patches, dim] and the grid to the patches of the object [rows, columns]."""

_EPSILON = 1e-7  # the reference's, on heights and on unions
_MIN_IOU = 0.5

BOXES: Final = {
    "box": "[images with objects, 4] x0, y0, x1, y1 in pixels, the end exclusive",
    "image": "[images with objects] number of the image in the split",
}
CORLOC = share("corloc", "located", resampling.mean, "wilson")


def component_of(foreground: Bool[np.ndarray, "rows columns"], seed: int) -> NDArray[np.bool_]:
    """Return the 4-connected component that holds the seed; the seed alone if it is background."""
    numbers, _ = label(foreground)
    own = numbers.flat[seed]
    if own == 0:
        alone = np.zeros(foreground.shape, bool)
        alone.flat[seed] = True
        return alone
    return np.asarray(numbers == own)


def component_box(
    component: Bool[np.ndarray, "rows columns"], *, patch_size: int, size: Grid
) -> NDArray[np.float64]:
    """Return the box (x0, y0, x1, y1; the end exclusive) around patches, clipped to the image.

    Args:
        component: True where a patch belongs to the object.
        patch_size: pixels of a side of a patch.
        size: height and width of the image before it was padded to whole patches.
    """
    rows, columns = np.nonzero(component)
    height, width = size
    return np.array(
        [
            columns.min() * patch_size,
            rows.min() * patch_size,
            min((columns.max() + 1) * patch_size, width),
            min((rows.max() + 1) * patch_size, height),
        ],
        dtype=np.float64,
    )


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
        return np.asarray((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1] + _EPSILON))

    return np.asarray(shared / (area(a) + area(b) - shared + _EPSILON))


def is_located(box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "objects 4"]) -> bool:
    """Say whether a box overlaps any object's with an IoU of at least one half."""
    return bool((box_iou(box[None], boxes) >= _MIN_IOU).any())


def locate(inputs: DiscoveryInputs, find: Find) -> Outcome:
    """Find one object in every image that has any, and say whether its box is right.

    Args:
        inputs: keys and boxes; images without objects do not count, as in the references.
        find: the method.

    Returns:
        Evidence: located [images]; predictions: boxes [images, 4] and which images they are of.

    Raises:
        ValueError: no image has an object.
    """
    rows, found, located = [], [], []
    for row, image in enumerate(inputs.images):
        if len(image.boxes) == 0:
            continue
        component = find(image.keys.float().numpy(), image.grid)
        box = component_box(component, patch_size=inputs.patch_size, size=image.size)
        rows.append(row)
        found.append(box)
        located.append(is_located(box, image.boxes))
    empty = len(inputs.images) - len(found)
    if not found:
        raise ValueError(
            f"none of {empty} images has an object: correct test_split of the evaluation set"
        )
    return Outcome(
        evidence={"located": np.array(located)},
        predictions={"box": np.stack(found).astype(np.float32), "image": np.array(rows, np.int32)},
        details={"images_without_objects": empty},
    )
