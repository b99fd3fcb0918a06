"""Drop images that cannot be decoded to the last pixel."""

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate
from data_filters.io.pixels import UnreadableImageError


class DecodingFilter(Filter[Candidate]):
    """Judge by decoding. A cut file is dropped, never filled with grey."""

    name = "decoding"
    reasons = ("truncated", "undecodable")
    gate = True

    def judge(self, record: Candidate) -> Verdict:
        """Drop if decoding fails."""
        try:
            record.pixels  # noqa: B018  reading it is the test
        except UnreadableImageError as error:
            return drop(error.reason, error.detail)
        return KEEP
