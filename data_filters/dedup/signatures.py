"""What identifies an image: its bytes, and what it looks like."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from data_filters.io.luma import Luma, averaged, grey_levels, read_luma
from data_filters.io.pixels import Pixels

BITS: Final = 64

MIN_CELLS: Final = 32
"""Along the shorter side of what is hashed: three for a wave of the highest frequency. The fewest
that find the copies which all pixels find (docs/log.md)."""

_SIDES: Final = (
    (1, 1, 1, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1),
    (1, 0, 1, 0), (1, 0, 0, 1), (0, 1, 1, 0), (0, 1, 0, 1),
)  # fmt: skip
"""At which sides a crop is cut: top, bottom, left, right."""

HASHES_PER_CROP: Final = 2 * len(_SIDES)


class Looks(NamedTuple):
    """What an image looks like.

    Attributes:
        perceptual: 64-bit DCT hash: survives lossy re-encoding and resizing, as a rule.
        mirrored: The same of the image mirrored left to right.
        contrast: Standard deviation of what was hashed, grey levels. Where it is low, the hash is
            noise: all nearly blank images would be copies of each other.
    """

    perceptual: int
    mirrored: int
    contrast: float


class Signature(NamedTuple):
    """Signature of one image; the columns of `records.SIGNATURE` but for the name.

    Attributes:
        sha256: Of the bytes.
        perceptual: See `Looks`, as for those below.
    """

    sha256: str
    perceptual: int
    mirrored: int
    contrast: float


def sign(data: bytes, *, sha256: str | None = None) -> Signature:
    """Sign an image.

    Args:
        data: An encoded image.
        sha256: Of `data`, where it is known.

    Raises:
        UnreadableImageError: It cannot be decoded. A JPEG is decoded in part only, so that not
            every broken one is found here.
    """
    looks = perceptual_hash(read_luma(data, min_cells=MIN_CELLS))
    return Signature(sha256 or hashlib.sha256(data).hexdigest(), *looks)


def looks_cropped(pixels: Pixels, shares: Sequence[float]) -> list[int]:
    """Hash an image without its edges: `HASHES_PER_CROP` hashes for each share.

    Args:
        pixels: [height, width, 3].
        shares: What is cut off, of the side's length: at all four sides, at one, at two that meet.

    Returns:
        The hashes, each followed by that of the mirror image.
    """
    levels = grey_levels(pixels)
    height, width = levels.shape
    hashes = []
    for share in shares:
        y, x = round(share * height), round(share * width)
        for top, bottom, left, right in _SIDES:
            crop = levels[top * y : height - bottom * y, left * x : width - right * x]
            looks = perceptual_hash(averaged(crop, min_cells=MIN_CELLS))
            hashes += [looks.perceptual, looks.mirrored]
    return hashes


def perceptual_hash(luma: Luma) -> Looks:
    """Return the DCT hash of an image and of its mirror image, and its contrast.

    The 64 lowest frequencies of the image's cosine transform, the constant left out, each compared
    with their median. (After Zauner, 2010, who makes a thumbnail first, and whose square block
    keeps the constant, and with it a bit that says nothing.) Mirroring changes the sign of every
    odd horizontal frequency, so the mirror image needs no transform of its own.
    """
    rows, columns = _waves(luma.height, luma.cell), _waves(luma.width, luma.cell)
    spectrum = (rows @ luma.levels @ columns.T).ravel()[_LOWEST]
    contrast = sqrt(_POWER @ (spectrum * spectrum))
    return Looks(_bits(spectrum), _bits(spectrum * _MIRROR), contrast)


def _bits(spectrum: npt.NDArray[np.float64]) -> int:
    ordered = np.sort(spectrum)
    median = (ordered[BITS // 2 - 1] + ordered[BITS // 2]) / 2  # np.median takes five times as long
    return int.from_bytes(np.packbits(spectrum > median).tobytes(), "big")


@lru_cache(maxsize=4096)
def _waves(length: int, cell: int) -> npt.NDArray[np.float64]:
    """Sample cosines in the middle of cells, times the share of the side that a cell takes.

    Where a cell at the edge is cut off counts: without it, an image and its mirror image, or a
    resized copy, would not have the same waves.

    Args:
        length: Of the side, pixels.
        cell: Side of a cell, pixels.

    Returns:
        Of the lowest frequencies, [frequencies, cells].
    """
    edges = np.minimum(np.arange(-(-length // cell) + 1) * cell, length) / length
    frequency = np.arange(_FREQUENCIES)[:, None]
    return np.cos(np.pi * frequency * (edges[1:] + edges[:-1]) / 2) * np.diff(edges)


_ORDER: Final = sorted((row + column, row, column) for row in range(BITS) for column in range(BITS))
_ROWS, _COLUMNS = np.array(_ORDER[1 : BITS + 1]).T[1:]
"""Of the `BITS` lowest frequencies but the constant, diagonal by diagonal."""

_FREQUENCIES: Final = int(max(_ROWS.max(), _COLUMNS.max())) + 1
_LOWEST: Final = _ROWS * _FREQUENCIES + _COLUMNS
_MIRROR: Final = np.where(_COLUMNS % 2 == 1, -1.0, 1.0)
_POWER: Final = np.where(_ROWS > 0, 2.0, 1.0) * np.where(_COLUMNS > 0, 2.0, 1.0)
"""Variance of the image that a squared coefficient stands for (Parseval)."""
