"""Drop rows whose caption is too short to be one."""

from typing import Final

from data_filters.base import Rule, RuleFilter
from data_filters.metadata.threshold import Missing, bounded

_SPACE: Final = r"\s\x0b\x1c-\x1f\x85\p{Z}"
"""White space in a class of RE2, whose own is ASCII: what `str.split` splits at."""


class CaptionFilter(RuleFilter):
    """Judge the length of the caption; training discards the text, but junk captions mark junk.

    Args:
        min_characters: Fewest characters (code points, ends trimmed).
        min_words: Fewest words between white space.
        missing: Whether a row without a caption passes.
    """

    name = "caption"

    def __init__(
        self, *, min_characters: int | None, min_words: int | None, missing: Missing
    ) -> None:
        self._min_characters, self._min_words, self._missing = min_characters, min_words, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the conditions under which a caption is too short."""
        rules = []
        trimmed = f"regexp_replace(caption, '^[{_SPACE}]+|[{_SPACE}]+$', '', 'g')"
        if self._min_characters is not None:
            rules.append(Rule("caption_too_short", f"length({trimmed}) < {self._min_characters}"))
        if self._min_words is not None:
            words = f"len(regexp_extract_all(caption, '[^{_SPACE}]+'))"
            rules.append(Rule("caption_too_few_words", f"{words} < {self._min_words}"))
        return bounded(
            needs=("caption",),
            missing=self._missing,
            word="caption_missing",
            rules=tuple(rules),
        )
