"""Published recipes as sets of thresholds, each with its source."""

from types import MappingProxyType
from typing import Final

from data_filters.config import PresetName, Thresholds

_OFF: Final = Thresholds(
    min_side=None,
    min_area=None,
    max_aspect_ratio=None,
    max_punsafe=None,
    max_pwatermark=None,
    min_similarity=None,
    min_caption_characters=None,
    min_caption_words=None,
    allowed_languages=None,
    allowed_statuses=None,
    missing="keep",
)

PRESETS: Final = MappingProxyType[PresetName, Thresholds](
    {
        # Franca (arXiv 2507.14137), Table 6 and dataset_prep.md: LAION-COCO as it is, text unused.
        "franca_paper": _OFF,
        # Ours, towards 600 million images from ReLAION-2B-en-research-safe: both sides at least
        # 256 (51 % of LAION-400M, laion.ai), LAION-Art's watermark limit, DataComp's NSFW limit
        # (0.1) and aspect limit (3). Rows without these values cannot be trusted and go.
        "relaion_600m": _OFF.model_copy(
            update={
                "min_side": 256,
                "max_aspect_ratio": 3.0,
                "max_punsafe": 0.1,
                "max_pwatermark": 0.8,
                "missing": "drop",
            }
        ),
        # DataComp (arXiv 2304.14108), "basic": min side 200, aspect 3, more than 2 words and more
        # than 5 characters, English by fastText (there lid.176.bin, here its compressed form).
        "datacomp_basic": _OFF.model_copy(
            update={
                "min_side": 200,
                "max_aspect_ratio": 3.0,
                "min_caption_words": 3,
                "min_caption_characters": 6,
                "allowed_languages": ("en",),
                "missing": "drop",
            }
        ),
        # LAION-Aesthetics (img2dataset, dataset_examples/laion-aesthetic.md): pwatermark < 0.8 and
        # punsafe < 0.5. Its aesthetic score is not a column of ReLAION: add the model to
        # filter_images.models (docs/filters.md).
        "laion_aesthetic": _OFF.model_copy(
            update={"max_punsafe": 0.5, "max_pwatermark": 0.8, "missing": "drop"}
        ),
    }
)


def resolve(thresholds: PresetName | Thresholds) -> Thresholds:
    """Return the thresholds that a name stands for, or the thresholds given."""
    return thresholds if isinstance(thresholds, Thresholds) else PRESETS[thresholds]
