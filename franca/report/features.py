"""Sample images: patch features as colours, by joint PCA; masks; attention and norms as heat.

The first three components become red, green and blue. The components are fitted on all patches of
all images, so that equal colours mean equal features across images (the released script fits on
the set it is given; its signs are arbitrary).
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from franca.report.pictures import Pixels

Numbers = npt.NDArray[np.float64]
_TAIL = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Sample images and their patch features.

    Attributes:
        images: [n, height, width, 3] uint8, as the backbone saw them before normalisation.
        patches: [n, rows * columns, dim], after the final LayerNorm.
        grid: Rows and columns of patches.
        masks: [n, height, width] true classes.
        segmented: [n, height, width] classes predicted in context; None if that was not run.
        clustered: [n, rows, columns] classes of clusters; None likewise.
        attention: [n, heads, rows * columns] of CLS in the last block; None if not shown.
        norms: [n, rows * columns] of patch tokens before the final LayerNorm; None likewise.
    """

    images: Pixels
    patches: Numbers
    grid: tuple[int, int]
    masks: Pixels
    segmented: Pixels | None = None
    clustered: Pixels | None = None
    attention: Numbers | None = None
    norms: Numbers | None = None


def read_samples(folder: Path, *, limit: int) -> Samples | None:
    """Read `samples.npz` of one evaluated checkpoint; None if there is none.

    Raises:
        ValueError: The patches do not fill the grid.
    """
    file = folder / "samples.npz"
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as archive:
        rows, columns = (int(size) for size in archive["grid"])
        arrays = {name: archive[name][:limit] for name in archive if name != "grid"}
    patches = arrays["patches"]
    if patches.shape[1] != rows * columns:
        raise ValueError(
            f"{file}: {patches.shape[1]} patches do not fill a grid of {rows} by {columns}; "
            "rerun the stage evaluate"
        )
    for name in ("patches", "attention", "norms"):
        if name in arrays:
            arrays[name] = arrays[name].astype(np.float64)
    return Samples(grid=(rows, columns), **arrays)


def principal_components(features: Numbers, *, count: int) -> Numbers:
    """Return the first principal axes; the largest loading of each is positive.

    Args:
        features: [n, dim].
        count: How many axes.

    Returns:
        [count, dim], orthonormal rows in order of falling variance.
    """
    centred = features - features.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1].T[:count]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return np.asarray(axes * np.sign(largest)[:, None])


def colours(samples: Samples) -> Pixels:
    """Map patch features to colours by joint PCA.

    Each component is stretched between its 2nd and 98th percentile over all images.

    Returns:
        [n, rows, columns, 3].
    """
    num_images, _, dim = samples.patches.shape
    flat = samples.patches.reshape(-1, dim)
    scores = (flat - flat.mean(axis=0)) @ principal_components(flat, count=3).T
    low, high = np.quantile(scores, [_TAIL, 1 - _TAIL], axis=0)
    span = np.where(high > low, high - low, 1.0)
    scaled = np.clip((scores - low) / span, 0, 1)
    pixels: Pixels = (scaled * 255).round().astype(np.uint8)
    return pixels.reshape(num_images, *samples.grid, 3)


def heat(values: Numbers, *, low: float, high: float) -> Pixels:
    """Give numbers the colours of matplotlib's cividis, dark blue for `low` to yellow for `high`.

    Args:
        values: of any shape.
        low: what is darkest; less is as dark.
        high: what is brightest; more is as bright.

    Returns:
        [..., 3].
    """
    span = high - low if high > low else 1.0
    scaled = np.clip((values - low) / span, 0, 1)
    return np.asarray(mpl.colormaps["cividis"](scaled, bytes=True)[..., :3])


def paint_classes(mask: Pixels) -> Pixels:
    """Give every class its colour of PASCAL VOC.

        for each class c, for each bit b of c:
            set bit 7 - b // 3 of channel b mod 3

    Args:
        mask: [height, width] classes.

    Returns:
        [height, width, 3].
    """
    classes = np.arange(256, dtype=np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= (classes >> bit & 1) << (7 - bit // 3)
    return np.asarray(palette[mask])
