"""The metadata filters that a section of the parameters asks for, in the order they judge."""

from pathlib import Path

from data_filters.base import RuleFilter
from data_filters.config import FilterMetadata
from data_filters.io.files import check_digest
from data_filters.metadata.address import AddressFilter
from data_filters.metadata.aspect import AspectFilter
from data_filters.metadata.caption import CaptionFilter
from data_filters.metadata.deny_lists import DenyList, DenyListFilter
from data_filters.metadata.language import LanguageFilter
from data_filters.metadata.presets import resolve
from data_filters.metadata.safety import unsafe, watermark
from data_filters.metadata.sample import SampleFilter
from data_filters.metadata.similarity import SimilarityFilter
from data_filters.metadata.size import SizeFilter
from data_filters.metadata.status import StatusFilter
from data_filters.metadata.url_pattern import UrlPatternFilter


def build_filters(cfg: FilterMetadata, *, seed: int) -> list[RuleFilter]:
    """Return every filter, those switched off as well: they appear in the funnel with no drops.

    Raises:
        FileNotFoundError: A deny-list is not where the parameters say.
        ValueError: A deny-list is another file than they say, or cannot be read.
    """
    limits = resolve(cfg.thresholds)
    missing = limits.missing
    return [
        AddressFilter(allowed_schemes=cfg.allowed_schemes, denied_domains=cfg.denied_domains),
        UrlPatternFilter(cfg.denied_url_patterns),
        DenyListFilter(_lists(cfg)),
        StatusFilter(allowed=limits.allowed_statuses, missing=missing),
        unsafe(limit=limits.max_punsafe, missing=missing),
        watermark(limit=limits.max_pwatermark, missing=missing),
        SizeFilter(min_side=limits.min_side, min_area=limits.min_area, missing=missing),
        AspectFilter(max_ratio=limits.max_aspect_ratio, missing=missing),
        SimilarityFilter(minimum=limits.min_similarity, missing=missing),
        CaptionFilter(
            min_characters=limits.min_caption_characters,
            min_words=limits.min_caption_words,
            missing=missing,
        ),
        LanguageFilter(allowed=limits.allowed_languages, missing=missing),
        SampleFilter(fraction=cfg.sample_fraction, seed=seed),
    ]


def _lists(cfg: FilterMetadata) -> list[DenyList]:
    return [
        DenyList(
            check_digest(Path(each.file), each.sha256, key=f"filter_metadata.deny_lists.{number}"),
            each.matches,
        )
        for number, each in enumerate(cfg.deny_lists)
    ]
