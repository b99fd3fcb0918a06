"""Images shrunk as they arrive: what img2dataset calls in place of its own resizer.

The bytes are those of img2dataset 1.47, which decodes, averages and encodes with the same calls of
OpenCV; it also builds a pipeline of albumentations for every image, which takes longer than the
averaging, and redirects the output of the whole process around it.
"""

import io
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from data_filters.config import Resize
from data_filters.io.pixels import sniff

Pixels = npt.NDArray[Any]
Shrunk = tuple[bytes | None, int | None, int | None, int | None, int | None, str | None]
"""Encoded bytes, width and height, original width and height, error: img2dataset's order."""

_ALPHA: Final = 4  # channels


class Shrinker:
    """Shrink images to a size, as a resizer of img2dataset.

    An image that is small enough is not enlarged, and a JPEG that is keeps its bytes.

    Args:
        resize: How; None keeps all bytes and never decodes.
    """

    def __init__(self, resize: Resize | None) -> None:
        cv2.setNumThreads(1)
        self._resize = resize

    def __call__(self, stream: io.BytesIO, boxes: None = None) -> Shrunk:
        """Return the image to store, in img2dataset's order; an image that is none is an error."""
        del boxes  # nothing is blurred
        data = stream.read()
        if self._resize is None:
            return data, None, None, None, None, None
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            if pixels is None:
                return None, None, None, None, None, "Image decoding error"
            height, width = pixels.shape[:2]
            flat = _on_white(pixels)
            small = _shrink(flat, self._resize)
            if small is not pixels or sniff(data) != "jpg":
                quality = [cv2.IMWRITE_JPEG_QUALITY, self._resize.quality]
                data = cv2.imencode(".jpg", small, quality)[1].tobytes()
        except cv2.error as error:  # a kind of image that OpenCV cannot handle
            return None, None, None, None, None, str(error)
        return data, small.shape[1], small.shape[0], width, height, None


def _on_white(pixels: Pixels) -> Pixels:
    """Lay an image that has an alpha channel on white; others stay as they are."""
    if pixels.shape[2:] != (_ALPHA,):
        return pixels
    alpha = pixels[:, :, 3, np.newaxis]
    opaque = alpha / 255 * pixels[..., :3] + 255 - alpha
    rounded: Pixels = np.rint(opaque.clip(min=0, max=255)).astype(np.uint8)
    return rounded


def _shrink(pixels: Pixels, resize: Resize) -> Pixels:
    """Average areas; `center_crop` also cuts the square in the middle of the shrunk image."""
    height, width = pixels.shape[:2]
    side = max(height, width) if resize.mode == "keep_ratio_largest" else min(height, width)
    if side <= resize.size:
        return pixels
    scale = resize.size / side
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Pixels = cv2.resize(pixels, new, interpolation=cv2.INTER_AREA)
    if resize.mode == "center_crop":
        left, top = ((length - resize.size) // 2 for length in new)
        small = small[top : top + resize.size, left : left + resize.size]
    return small
