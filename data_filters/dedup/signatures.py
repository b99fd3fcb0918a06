"""What identifies an image: its bytes, its pixels, and what it looks like."""

import hashlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_filters.io.pixels import Pixels, decode, grey, open_image

SIDE: Final = 32
"""Side of the thumbnail that is hashed, pixels."""

BITS: Final = 64


class Signature(NamedTuple):
    """Signature of one image; the columns of `records.SIGNATURE` but for the name.

    Attributes:
        sha256: Of the bytes.
        pixels: SHA-256 of size and decoded, upright RGB pixels: survives lossless re-encoding.
        perceptual: 64-bit DCT hash: survives lossy re-encoding and resizing, as a rule.
        contrast: Standard deviation of the thumbnail, grey levels. Where it is low, the hash is
            noise: all nearly blank images would be copies of each other.
    """

    sha256: str
    pixels: str
    perceptual: int
    contrast: float


def sign(data: bytes, *, sha256: str | None = None) -> Signature:
    """Sign an image.

    Args:
        data: An encoded image.
        sha256: Of `data`, where it is known.

    Raises:
        UnreadableImageError: It cannot be decoded.
    """
    pixels = decode(open_image(data))
    perceptual, contrast = perceptual_hash(pixels)
    return Signature(
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        pixels=pixel_hash(pixels),
        perceptual=perceptual,
        contrast=contrast,
    )


def pixel_hash(pixels: Pixels) -> str:
    """Hash size and pixels."""
    digest = hashlib.sha256(np.array(pixels.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def perceptual_hash(pixels: Pixels) -> tuple[int, float]:
    """Return the DCT hash of an image and the contrast of its thumbnail.

    The 64 lowest frequencies of the 32x32 thumbnail's type-II DCT, the constant left out, each
    compared with their median. (After Zauner, 2010, whose square block keeps the constant, and with
    it a bit that says nothing.)
    """
    levels = np.clip(np.rint(grey(pixels)), 0, 255).astype(np.uint8)
    thumbnail = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(thumbnail, dtype=np.float64)
    spectrum = _COSINES @ small @ _COSINES.T
    lowest = spectrum[_ROWS, _COLUMNS]
    bits = lowest > np.median(lowest)
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), float(small.std())


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
