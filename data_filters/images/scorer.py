"""Filters whose judgement is a number that a model gives an image.

A scorer says what the number is; the limits, the batches and the verdicts are here, once. A new
kind of model is a `Network` (data_filters/models) and a `Scorer`, or only the latter.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from data_filters.base import KEEP, Verdict, drop
from data_filters.models.network import Network, Prepared, Vectors, vectors

TOO_LOW, TOO_HIGH, NO_CAPTION = "score_too_low", "score_too_high", "caption_missing"
REASONS: Final = (NO_CAPTION, TOO_LOW, TOO_HIGH)

DECIMALS: Final = 4
"""Of a score. What is beyond depends on the machine's arithmetic and decides nothing."""

Scores = npt.NDArray[np.float32]


class Scorer(ABC):
    """What a model makes of images: one number each.

    Args:
        network: Turns pixels into the vectors that are scored; scorers may share one.
    """

    needs_captions = False

    def __init__(self, network: Network) -> None:
        self.network = network

    @abstractmethod
    def score(self, embedded: Vectors, captions: Sequence[str]) -> Scores:
        """Score images by what the network made of them.

        Args:
            embedded: [images, dim].
            captions: One per image; not empty where `needs_captions`.
        """


class Limits(NamedTuple):
    """The scores that pass, both ends included; None for no limit."""

    low: float | None
    high: float | None

    def judge(self, score: float) -> Verdict:
        """Drop what lies outside; the score is the verdict's detail."""
        detail = f"{score:.{DECIMALS}f}"
        if self.low is not None and score < self.low:
            return drop(TOO_LOW, detail)
        if self.high is not None and score > self.high:
            return drop(TOO_HIGH, detail)
        return KEEP


class Item(NamedTuple):
    """An image on its way through the scorers.

    Attributes:
        row_id: Its name.
        caption: Empty where it has none.
        prepared: By network, what the network's `prepare` made of its pixels.
    """

    row_id: str
    caption: str
    prepared: dict[Network, Prepared]


class ScoreFilter(NamedTuple):
    """A scorer with a name, which verdicts bear, and limits."""

    name: str
    scorer: Scorer
    limits: Limits


class Score(NamedTuple):
    """A score given; the columns of `records.SCORE`."""

    row_id: str
    model: str
    score: float


class Opinion(NamedTuple):
    """What the scorers made of an image: (filter, verdict) of those that would drop it; scores."""

    objections: list[tuple[str, Verdict]]
    scores: list[Score]


def judge_batch(
    filters: Sequence[ScoreFilter], items: Sequence[Item], *, batch_size: int
) -> list[Opinion]:
    """Ask every filter about every image; only similarity to a caption needs one.

    Args:
        filters: Name, scorer and limits of each.
        items: Images; at least one.
        batch_size: Images that a network sees at a time.

    Returns:
        An opinion per image, with objections and scores in the order of the filters.
    """
    embedded: dict[Network, Vectors] = {}
    opinions = [Opinion([], []) for _ in items]
    for each in filters:
        network, asked = each.scorer.network, []
        for place, item in enumerate(items):
            if each.scorer.needs_captions and not item.caption:
                opinions[place].objections.append((each.name, drop(NO_CAPTION)))
            else:
                asked.append(place)
        if not asked:
            continue
        if network not in embedded:
            rows = [item.prepared[network] for item in items]
            embedded[network] = vectors(network, rows, batch_size=batch_size)
        captions = [items[place].caption for place in asked]
        given = each.scorer.score(embedded[network][asked], captions)
        for place, score in zip(asked, np.round(given.astype(float), DECIMALS), strict=True):
            opinion, verdict = opinions[place], each.limits.judge(float(score))
            opinion.scores.append(Score(items[place].row_id, each.name, float(score)))
            if not verdict.kept:
                opinion.objections.append((each.name, verdict))
    return opinions
