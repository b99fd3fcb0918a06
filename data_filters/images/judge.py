"""Judge the images of a shard: first by their pixels one at a time, then by models in batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from data_filters.base import KEEP, Filter, Verdict, objections
from data_filters.images.candidate import Candidate
from data_filters.images.scorer import Item, Score, ScoreFilter, judge_batch


class Judged(NamedTuple):
    """What became of an image.

    Attributes:
        row_id: Its name.
        filter: The filter that dropped it; None when it is kept.
        verdict: Kept, or dropped for which reason.
        size: Height and width, upright; None when it is dropped.
        objections: Filter and reason of every filter of pixels that would drop it.
        scores: What models gave it.
    """

    row_id: str
    filter: str | None
    verdict: Verdict
    size: tuple[int, int] | None
    objections: tuple[tuple[str, str], ...] = ()
    scores: tuple[Score, ...] = ()


def judge_images(
    images: Iterable[tuple[str, bytes]],
    filters: Sequence[Filter[Candidate]],
    scorers: Sequence[ScoreFilter],
    *,
    captions: Mapping[str, str],
    batch_size: int,
) -> Iterator[Judged]:
    """Yield what became of each image, in their order, holding no more than a batch's pixels.

    Args:
        images: (row id, bytes).
        filters: Of pixels, in order.
        scorers: Of models, in order.
        captions: By row id; empty or missing where there is none.
        batch_size: Images that a network sees at a time.
    """
    waiting: list[Judged] = []
    items: list[Item] = []
    for row_id, data in images:
        candidate = Candidate(data)
        objecting = objections(filters, candidate)
        name, verdict = objecting[0] if objecting else (None, KEEP)
        size = candidate.pixels.shape[:2] if verdict.kept else None
        every = tuple((each, str(opinion.reason)) for each, opinion in objecting)
        waiting.append(Judged(row_id, name, verdict, size, every))
        if scorers and verdict.kept:
            networks = {each.scorer.network for each in scorers}
            prepared = {network: network.prepare(candidate.pixels) for network in networks}
            items.append(Item(row_id, captions.get(row_id, "").strip(), prepared))
        if len(items) == batch_size or not scorers:
            yield from _scored(waiting, items, scorers, batch_size=batch_size)
            waiting, items = [], []
    yield from _scored(waiting, items, scorers, batch_size=batch_size)


def _scored(
    waiting: Sequence[Judged],
    items: Sequence[Item],
    scorers: Sequence[ScoreFilter],
    *,
    batch_size: int,
) -> Iterator[Judged]:
    """Add the verdicts of models to those of pixels."""
    if not items:
        yield from waiting
        return
    opinion = judge_batch(scorers, items, batch_size=batch_size)
    verdicts = iter(opinion.verdicts)
    scores: dict[str, list[Score]] = {item.row_id: [] for item in items}
    for score in opinion.scores:
        scores[score.row_id].append(score)
    for judged in waiting:
        if not judged.verdict.kept:
            yield judged
            continue
        name, verdict = next(verdicts)
        size = judged.size if verdict.kept else None
        given = tuple(scores[judged.row_id])
        yield Judged(judged.row_id, name, verdict, size, judged.objections, given)
