"""An image under judgement: its header is read at once, its pixels only when a filter asks."""

from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_filters.io.pixels import Pixels, decode, grey, open_image, upright_size


class Candidate:
    """Bytes that claim to be an image.

    Attributes raise `UnreadableImageError` when the bytes do not hold what is asked for; the first
    filters of a chain turn that into a verdict, so later ones need not.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def header(self) -> Image.Image:
        """The opened image: format, size, frames; no pixel decoded."""
        return open_image(self._data)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return upright_size(self.header)

    @cached_property
    def pixels(self) -> Pixels:
        """Upright RGB, [height, width, 3]."""
        return decode(self.header)

    @cached_property
    def grey(self) -> npt.NDArray[np.float32]:
        """Luma, [height, width], 0 to 255."""
        return grey(self.pixels)
