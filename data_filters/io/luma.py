"""Luma of an image, averaged over cells: what looks at low frequencies only need not see more.

A JPEG file holds the mean of every 8x8 block as a number of its own, and luma apart from colour.
Asked for a smaller picture, the decoder leaves out the other frequencies, and colour altogether.
"""

from typing import Final, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from data_filters.io.pixels import Pixels, decode, is_turned, open_image

_CELLS: Final = (8, 4, 2, 1)
"""Sides of cells that JPEG's transform yields, pixels."""

_WITH_LUMA: Final = frozenset({"YCbCr", "Gray"})
_START_OF_SCAN, _APP1 = b"\xff\xda", b"\xff\xe1"


class Luma(NamedTuple):
    """Luma (ITU-R BT.601) of an upright image, averaged over square cells.

    Attributes:
        levels: Of each cell, 0 to 255, [rows, columns].
        height: Of the image, pixels.
        width: Likewise.
        cell: Side of a cell, pixels; those at the lower and the right edge may be cut off.
    """

    levels: Pixels
    height: int
    width: int
    cell: int


def read_luma(data: bytes, *, min_cells: int) -> Luma:
    """Read the luma of an encoded image, in as little time as its format allows.

    Args:
        data: An encoded image.
        min_cells: Along the shorter side at least, where the image has so many pixels.

    Raises:
        UnreadableImageError: It cannot be decoded.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in _WITH_LUMA and not (_has_metadata(data) and is_turned(open_image(data))):
            cell = _cell(height, width, min_cells)
            rows, columns = -(-height // cell), -(-width // cell)
            levels = simplejpeg.decode_jpeg(data, "GRAY", min_height=rows, min_width=columns)
            return Luma(levels[..., 0], height, width, cell)
    except ValueError:
        pass  # not a JPEG, or one with a flaw that Pillow may live with
    return averaged(grey_levels(decode(open_image(data))), min_cells=min_cells)


def averaged(levels: Pixels, *, min_cells: int) -> Luma:
    """Average grey levels, [height, width], over cells; see `read_luma`."""
    height, width = levels.shape
    cell = _cell(height, width, min_cells)
    return Luma(np.asarray(Image.fromarray(levels).reduce(cell)), height, width, cell)


def grey_levels(pixels: Pixels) -> Pixels:
    """Round the luma of RGB pixels, [height, width, 3], to whole levels, [height, width]."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _cell(height: int, width: int, min_cells: int) -> int:
    """Return the side of the largest cells that are not fewer than asked for."""
    return next((cell for cell in _CELLS if min(height, width) >= cell * min_cells), 1)


def _has_metadata(data: bytes) -> bool:
    """Whether a JPEG has a segment that may say how to turn it, or segments of an odd form."""
    place = 2
    while (marker := data[place : place + 2])[:1] == b"\xff":
        if marker in (_START_OF_SCAN, _APP1):
            return marker == _APP1
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return True
