"""Drop what has no readable image header, or announces too many pixels, before decoding any."""

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate
from data_filters.io.pixels import UnreadableImageError


class HeaderFilter(Filter[Candidate]):
    """Judge the format and the number of pixels: a file of kilobytes can unpack to gigabytes.

    Args:
        max_pixels: Largest width times height that passes.
    """

    name = "header"
    reasons = ("not_an_image", "too_many_pixels")
    gate = True

    def __init__(self, *, max_pixels: int) -> None:
        super().__init__()
        self._max_pixels = max_pixels

    def judge(self, record: Candidate) -> Verdict:
        """Drop if the header cannot be read or asks for too much."""
        try:
            width, height = record.header.size
        except UnreadableImageError as error:
            return drop(error.reason, error.detail)
        if width * height > self._max_pixels:
            return drop("too_many_pixels", f"{width}x{height}")
        return KEEP
