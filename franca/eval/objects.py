"""What benchmarks of objects see: points, boxes and masks in images of their own sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class KeypointPair:
    """Two images of square input with points that both show.

    Attributes:
        source: patch tokens of the first image, row-major.
        target: patch tokens of the second image.
        grid: rows and columns of patches.
        source_points: x, y as shares of the sides.
        target_points: the same points in the other image.
        target_extent: longer side of the target object's box, as a share of the sides.
        label: class of the object.
        group: what the pair is reported with.
    """

    source: Float[Tensor, "patches dim"]
    target: Float[Tensor, "patches dim"]
    grid: tuple[int, int]
    source_points: Float[Tensor, "points 2"]
    target_points: Float[Tensor, "points 2"]
    target_extent: float
    label: str
    group: str


@dataclass(frozen=True)
class PairInputs:
    """What keypoint benchmarks see; pairs are made when asked for."""

    pairs: Sequence[KeypointPair]


@dataclass(frozen=True)
class DiscoveryImage:
    """An image of its own size, with the boxes of what is in it.

    Attributes:
        keys: of the last block, heads concatenated, row-major, without CLS and registers.
        grid: rows and columns of patches; the last ones may reach beyond the image.
        size: height and width in pixels.
        boxes: x0, y0, x1, y1 in pixels, the end exclusive; none for an image without objects.
    """

    keys: Float[Tensor, "patches dim"]
    grid: tuple[int, int]
    size: tuple[int, int]
    boxes: Float[np.ndarray, "objects 4"]


@dataclass(frozen=True)
class DiscoveryInputs:
    """What object discovery sees; images are made when asked for."""

    images: Sequence[DiscoveryImage]
    patch_size: int


@dataclass(frozen=True)
class Video:
    """A sequence whose first mask is given.

    Attributes:
        name: of the sequence.
        patches: patch tokens after the final LayerNorm, row-major.
        grid: rows and columns of patches.
        masks: object of each pixel at the size of the annotation: 0 is background, 255 void.
    """

    name: str
    patches: Float[Tensor, "frames patches dim"]
    grid: tuple[int, int]
    masks: UInt8[np.ndarray, "frames height width"]


@dataclass(frozen=True)
class VideoInputs:
    """What video benchmarks see; sequences are made when asked for."""

    videos: Sequence[Video]
    patch_size: int
