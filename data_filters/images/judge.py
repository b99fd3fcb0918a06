"""Judge the images of a shard: first by their pixels one at a time, then by models in batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from data_filters.base import KEEP, Filter, Verdict, objections
from data_filters.images.candidate import Candidate
from data_filters.images.scorer import Item, Score, ScoreFilter, judge_batch
from data_filters.io.pixels import Pixels, pixel_digest

LONGEST: Final = 32
"""Of an image's middle that models see, longer side over shorter side."""


class Judged(NamedTuple):
    """What became of an image.

    Attributes:
        row_id: Its name.
        size: Height and width, upright; None where it was not decoded.
        pixels: Digest of its pixels; None unless pixels speak for it.
        objections: Filter and verdict of everyone who would drop it, in order; none: it is kept.
        scores: What models gave it.
    """

    row_id: str
    size: tuple[int, int] | None
    pixels: str | None
    objections: tuple[tuple[str, Verdict], ...]
    scores: tuple[Score, ...] = ()

    @property
    def filter(self) -> str | None:
        """The filter that dropped it, which is the first; None when it is kept."""
        return self.objections[0][0] if self.objections else None

    @property
    def verdict(self) -> Verdict:
        """Kept, or dropped for which reason."""
        return self.objections[0][1] if self.objections else KEEP


def judge_images(
    images: Iterable[tuple[str, bytes]],
    filters: Sequence[Filter[Candidate]],
    scorers: Sequence[ScoreFilter],
    *,
    captions: Mapping[str, str],
    batch_size: int,
) -> Iterator[Judged]:
    """Yield what became of each image, in their order, holding no more than a batch's pixels.

    Everyone judges every image that can be decoded, so that it is known what each drops alone.

    Args:
        images: (row id, bytes).
        filters: Of pixels, in order.
        scorers: Of models, in order.
        captions: By row id; empty or missing where there is none.
        batch_size: Images that a network sees at a time.
    """
    gates = {each.name for each in filters if each.gate}
    networks = {each.scorer.network for each in scorers}
    waiting: list[Judged] = []
    items: list[Item] = []
    for row_id, data in images:
        candidate = Candidate(data)
        objecting = tuple(objections(filters, candidate))
        decoded = not objecting or objecting[-1][0] not in gates
        size = candidate.pixels.shape[:2] if decoded else None
        digest = None if objecting else pixel_digest(candidate.pixels)
        waiting.append(Judged(row_id, size, digest, objecting))
        if scorers and decoded:
            middle = _middle(candidate.pixels)
            prepared = {network: network.prepare(middle) for network in networks}
            items.append(Item(row_id, captions.get(row_id, "").strip(), prepared))
        if len(items) == batch_size or not scorers:
            yield from _scored(waiting, items, scorers, batch_size=batch_size)
            waiting, items = [], []
    yield from _scored(waiting, items, scorers, batch_size=batch_size)


def _middle(pixels: Pixels) -> Pixels:
    """Cut the ends off a strip: scaled to a network's shorter side, it could fill any memory."""
    height, width = pixels.shape[:2]
    longest = LONGEST * min(height, width)
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    return pixels[top : top + longest, left : left + longest]


def _scored(
    waiting: Sequence[Judged],
    items: Sequence[Item],
    scorers: Sequence[ScoreFilter],
    *,
    batch_size: int,
) -> Iterator[Judged]:
    """Add the objections of models to those of pixels."""
    opinions = judge_batch(scorers, items, batch_size=batch_size) if items else []
    given = {item.row_id: opinion for item, opinion in zip(items, opinions, strict=True)}
    for judged in waiting:
        opinion = given.get(judged.row_id)
        if opinion is None:
            yield judged
            continue
        every = (*judged.objections, *opinion.objections)
        yield judged._replace(objections=every, scores=tuple(opinion.scores))
