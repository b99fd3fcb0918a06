"""Small pictures: thumbnails, pictures made of patches, and sheets that hold many of them."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from franca.report.blocks import Thumbnail
from franca.report.figures import PAPER

Pixels = npt.NDArray[np.uint8]
_GAP: Final = 6


def decode(data: bytes) -> Image.Image:
    """Decode an image file's bytes to RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def fit(image: Image.Image, *, side: int) -> Image.Image:
    """Shrink an image until its long side has at most `side` pixels; small ones stay."""
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return copy


def thumbnail(data: bytes, *, side: int, label: str = "") -> Thumbnail:
    """Decode, shrink and encode an image file's bytes."""
    return photograph(fit(decode(data), side=side), label=label)


def photograph(image: Image.Image, *, label: str = "") -> Thumbnail:
    """Encode a photograph-like picture as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85, optimize=True)
    return Thumbnail(data=buffer.getvalue(), media_type="image/jpeg", label=label)


def drawing(pixels: Pixels, *, label: str = "") -> Thumbnail:
    """Encode a picture with sharp edges as PNG.

    Args:
        pixels: [height, width, 3].
        label: Shown under it.
    """
    return Thumbnail(data=_png(Image.fromarray(pixels)), media_type="image/png", label=label)


def sheet(rows: Sequence[Sequence[Thumbnail]], *, side: int, pixelated: bool = False) -> bytes:
    """Put pictures on one PNG, each scaled to fit a square cell.

    Args:
        rows: Pictures row by row; rows may differ in length.
        side: Width and height of a cell in pixels.
        pixelated: Enlarge without smoothing.
    """
    width = max(len(row) for row in rows) * (side + _GAP) + _GAP
    canvas = Image.new("RGB", (width, len(rows) * (side + _GAP) + _GAP), PAPER)
    resample = Image.Resampling.NEAREST if pixelated else Image.Resampling.BICUBIC
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            image = decode(cell.data)
            scale = side / max(image.size)
            shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            corner = (_GAP + x * (side + _GAP), _GAP + y * (side + _GAP))
            canvas.paste(image.resize(shape, resample), corner)
    return _png(canvas)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
