"""Drop rows whose caption has little to do with the image."""

from data_filters.base import Rule, RuleFilter
from data_filters.metadata.threshold import Missing, bounded


class SimilarityFilter(RuleFilter):
    """Judge the CLIP similarity that the source states.

    Args:
        minimum: Smallest cosine that passes.
        missing: Whether a row without one passes.
    """

    name = "similarity"

    def __init__(self, *, minimum: float | None, missing: Missing) -> None:
        self._minimum, self._missing = minimum, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition under which image and caption disagree."""
        if self._minimum is None:
            return ()
        return bounded(
            needs=("similarity",),
            missing=self._missing,
            word="similarity_missing",
            rules=(Rule("caption_unrelated", f"similarity < {self._minimum!r}"),),
        )

    def surely_kept(self) -> str | None:
        """The opposite of the rule; false where the similarity is missing."""
        return None if self._minimum is None else f"similarity >= {self._minimum!r}"
