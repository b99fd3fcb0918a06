"""Drop animations: which of the frames would be the image?"""

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate


class AnimationFilter(Filter[Candidate]):
    """Judge the number of frames."""

    name = "animation"
    reasons = ("animated",)

    def judge(self, record: Candidate) -> Verdict:
        """Drop if there are several. The further frames of an MPO are previews, not motion."""
        header = record.header
        animated = header.format != "MPO" and getattr(header, "n_frames", 1) > 1
        return drop("animated") if animated else KEEP
