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
    """What the scorers made of a batch: (filter, verdict) of each image, and all scores given."""

    verdicts: list[tuple[str | None, Verdict]]
    scores: list[Score]


def judge_batch(
    filters: Sequence[ScoreFilter], items: Sequence[Item], *, batch_size: int
) -> Opinion:
    """Ask the filters in order; each sees only what those before it kept.

    Args:
        filters: Name, scorer and limits of each.
        items: Images; at least one.
        batch_size: Images that a network sees at a time.
    """
    verdicts: list[tuple[str | None, Verdict]] = [(None, KEEP)] * len(items)
    scores: list[Score] = []
    embedded: dict[Network, dict[int, npt.NDArray[np.float32]]] = {}
    for each in filters:
        left = [place for place, (_, verdict) in enumerate(verdicts) if verdict.kept]
        if each.scorer.needs_captions:
            for place in [place for place in left if not items[place].caption]:
                verdicts[place] = (each.name, drop(NO_CAPTION))
            left = [place for place in left if items[place].caption]
        if not left:
            continue
        network = each.scorer.network
        known = embedded.setdefault(network, {})
        new = [place for place in left if place not in known]
        if new:
            rows = [items[place].prepared[network] for place in new]
            known.update(zip(new, vectors(network, rows, batch_size=batch_size), strict=True))
        given = each.scorer.score(
            np.stack([known[place] for place in left]), [items[place].caption for place in left]
        )
        for place, score in zip(left, np.round(given.astype(float), DECIMALS), strict=True):
            scores.append(Score(items[place].row_id, each.name, float(score)))
            verdict = each.limits.judge(float(score))
            if not verdict.kept:
                verdicts[place] = (each.name, verdict)
    return Opinion(verdicts, scores)
