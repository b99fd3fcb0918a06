"""What identifies an image: its bytes, its pixels, and what it looks like."""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_filters.io.pixels import Pixels, grey

SIDE: Final = 32
"""Side of the thumbnail that is hashed, pixels."""

BITS: Final = 64

_SIDES: Final = (
    (1, 1, 1, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1),
    (1, 0, 1, 0), (1, 0, 0, 1), (0, 1, 1, 0), (0, 1, 0, 1),
)  # fmt: skip
"""At which sides a crop is cut: top, bottom, left, right."""

HASHES_PER_CROP: Final = 2 * len(_SIDES)


class Signature(NamedTuple):
    """Signature of one image; the columns of `records.SIGNATURE` but for the name.

    Attributes:
        sha256: Of the bytes.
        pixels: SHA-256 of size and decoded, upright RGB pixels: survives lossless re-encoding.
        perceptual: 64-bit DCT hash: survives lossy re-encoding and resizing, as a rule.
        mirrored: The same of the image mirrored left to right.
        contrast: Standard deviation of the thumbnail, grey levels. Where it is low, the hash is
            noise: all nearly blank images would be copies of each other.
    """

    sha256: str
    pixels: str
    perceptual: int
    mirrored: int
    contrast: float


def sign(data: bytes, pixels: Pixels, *, sha256: str | None = None) -> Signature:
    """Sign an image.

    Args:
        data: An encoded image.
        pixels: The same decoded, [height, width, 3].
        sha256: Of `data`, where it is known.
    """
    looks = perceptual_hash(pixels)
    return Signature(sha256 or hashlib.sha256(data).hexdigest(), pixel_hash(pixels), *looks)


def pixel_hash(pixels: Pixels) -> str:
    """Hash size and pixels."""
    digest = hashlib.sha256(np.array(pixels.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def looks_cropped(pixels: Pixels, shares: Sequence[float]) -> list[int]:
    """Hash an image without its edges: `HASHES_PER_CROP` hashes for each share.

    Args:
        pixels: [height, width, 3].
        shares: What is cut off, of the side's length: at all four sides, at one, at two that meet.

    Returns:
        The hashes, each followed by that of the mirror image.
    """
    height, width = pixels.shape[:2]
    hashes = []
    for share in shares:
        y, x = round(share * height), round(share * width)
        for top, bottom, left, right in _SIDES:
            crop = pixels[top * y : height - bottom * y, left * x : width - right * x]
            looks = perceptual_hash(crop)
            hashes += [looks.perceptual, looks.mirrored]
    return hashes


class Looks(NamedTuple):
    """The last three entries of a `Signature`."""

    perceptual: int
    mirrored: int
    contrast: float


def perceptual_hash(pixels: Pixels) -> Looks:
    """Return the DCT hash of an image and of its mirror image, and the thumbnail's contrast.

    The 64 lowest frequencies of the 32x32 thumbnail's type-II DCT, the constant left out, each
    compared with their median. (After Zauner, 2010, whose square block keeps the constant, and with
    it a bit that says nothing.) Mirroring changes the sign of every odd horizontal frequency, so
    the mirror image needs no transform of its own.
    """
    levels = np.clip(np.rint(grey(pixels)), 0, 255).astype(np.uint8)
    thumbnail = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(thumbnail, dtype=np.float64)
    spectrum = _COSINES @ small @ _COSINES.T
    lowest = spectrum[_ROWS, _COLUMNS]
    mirrored = np.where(_COLUMNS % 2 == 1, -lowest, lowest)
    return Looks(_bits(lowest), _bits(mirrored), float(small.std()))


def _bits(spectrum: npt.NDArray[np.float64]) -> int:
    return int.from_bytes(np.packbits(spectrum > np.median(spectrum)).tobytes(), "big")


def _cosines() -> npt.NDArray[np.float64]:
    frequency, position = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * SIDE))


def _lowest_frequencies() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the `BITS` lowest frequencies but the constant, diagonal by diagonal."""
    order = sorted((row + column, row, column) for row in range(SIDE) for column in range(SIDE))
    chosen = np.array(order[1 : BITS + 1])
    return chosen[:, 1], chosen[:, 2]


_COSINES: Final = _cosines()
_ROWS, _COLUMNS = _lowest_frequencies()
