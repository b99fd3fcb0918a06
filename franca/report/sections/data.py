"""Chapter: the funnel of the filters, each filter alone, and what was kept and dropped, seen."""

from collections.abc import Mapping, Sequence

from franca.report import numbers, pictures
from franca.report.blocks import (
    Block,
    Cell,
    Column,
    Fold,
    Gallery,
    Missing,
    Prose,
    Section,
    Table,
    Thumbnail,
)
from franca.report.figures import Figures
from franca.report.funnel import Effects, Step
from franca.report.plots.funnel import draw_effects, draw_funnel
from franca.report.shards import DroppedRow, Reason, StoredImage


def build_data(
    funnel: Sequence[Step],
    kept: Sequence[StoredImage],
    dropped: Mapping[Reason, Sequence[StoredImage]],
    figures: Figures,
    *,
    lost: Mapping[Reason, Sequence[DroppedRow]],
    effects: Mapping[str, Effects],
    side: int,
) -> Section:
    """Build the chapter.

    Args:
        funnel: Accounts of the filters in order.
        kept: Sample images of the final shards.
        dropped: Sample images that were dropped, by reason.
        figures: Where figures go.
        lost: Sample rows that never became an image, by reason.
        effects: What each filter does beside the others, by what they judge.
        side: Long side of a thumbnail in pixels.
    """
    blocks = _show_funnel(funnel, figures)
    for judged, each in effects.items():
        if each.filters:
            blocks += _show_effects(each, judged, figures)
    blocks += _show_lost(lost)
    caption = "Kept: images evenly spread over the final shards, with their captions."
    blocks += _gallery("kept", kept, side, caption)
    for (_, filter_, reason), images in dropped.items():
        caption = f"Dropped by `{filter_}`: {reason.replace('_', ' ')}."
        blocks += _gallery(f"dropped-{filter_}-{_slug(reason)}", images, side, caption)
    if not any(dropped.values()):
        text = "No dropped image is stored, so none can be shown; the ledger lists every row."
        blocks.append(Missing(text=text))
    return Section(slug="data", title="Data", blocks=tuple(blocks))


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())


def _show_funnel(funnel: Sequence[Step], figures: Figures) -> list[Block]:
    if not funnel:
        return [Missing(text="This scale has no funnel: its images did not pass through filters.")]
    first, last = funnel[0].entered, funnel[-1].kept
    plot = figures.save(
        draw_funnel(funnel),
        name="funnel",
        alt=f"Bars of {len(funnel)} filters: {first} rows enter the first, {last} leave the last.",
        caption=(
            "What each filter kept (blue) and dropped (grey), in the order they were applied, and "
            "the stage they belong to."
        ),
    )
    intro = Prose(
        text=(
            f"Of {numbers.count(first)} rows, **{numbers.count(last)}** "
            f"({numbers.share(last, first)}) became training images. Every dropped row has one "
            "reason: the first filter that refused it."
        )
    )
    return [intro, plot, _table(funnel)]


def _table(funnel: Sequence[Step]) -> Table:
    return Table(
        caption="The same in numbers. Shares are of what entered the filter.",
        columns=(
            Column(title="Filter"),
            Column(title="In", numeric=True),
            Column(title="Kept", numeric=True),
            Column(title="Dropped", numeric=True),
            Column(title="Share", numeric=True),
            Column(title="Reasons"),
        ),
        rows=tuple(
            (
                Cell(text=step.filter, note=step.stage),
                Cell(text=numbers.count(step.entered)),
                Cell(text=numbers.count(step.kept)),
                Cell(text=numbers.count(step.dropped)),
                Cell(text=numbers.share(step.dropped, step.entered)),
                Cell(text=_reasons(step)),
            )
            for step in funnel
        ),
    )


def _show_effects(effects: Effects, judged: str, figures: Figures) -> list[Block]:
    """Each filter alone: which ones do the work, and which repeat another's."""
    plot = figures.save(
        draw_effects(effects),
        name=f"filters-alone-{_slug(judged)}",
        alt=f"Bars and overlaps of the {len(effects.filters)} filters of {judged}.",
        caption=(
            f"Filters of {judged}, each against all that came to them. Left: what a filter would "
            "drop were it the only one, what it drops in its place, and what no other filter "
            "drops. Right: the share of what the row's filter would drop that the column's would "
            "drop as well."
        ),
    )
    table = Table(
        caption=f"The same in numbers, of {numbers.count(effects.rows)} {judged}. Without a "
        "filter, as many more would be kept as only it drops.",
        columns=(
            Column(title="Filter"),
            Column(title="Alone", numeric=True),
            Column(title="In sequence", numeric=True),
            Column(title="Only it", numeric=True),
            Column(title="Share, alone", numeric=True),
        ),
        rows=tuple(
            (
                Cell(text=effect.filter),
                Cell(text=numbers.count(effect.alone)),
                Cell(text=numbers.count(effect.in_sequence)),
                Cell(text=numbers.count(effect.only)),
                Cell(text=numbers.share(effect.alone, effects.rows)),
            )
            for effect in effects.filters
        ),
    )
    return [plot, table]


def _show_lost(lost: Mapping[Reason, Sequence[DroppedRow]]) -> list[Block]:
    """Rows that never became an image: an example or two of each reason."""
    rows = [
        (
            Cell(text=reason.reason, note=f"{reason.filter}, {reason.stage}"),
            Cell(text=row.url or numbers.NONE, note=row.detail),
        )
        for reason, examples in lost.items()
        for row in examples
    ]
    if not rows:
        return []
    table = Table(
        caption="The first rows of the ledger for each reason; a second line is what the reason "
        "refers to.",
        columns=(Column(title="Reason"), Column(title="Address")),
        rows=tuple(rows),
    )
    return [Fold(title="Rows that never became an image, by reason", blocks=(table,))]


def _reasons(step: Step) -> str:
    ranked = sorted(step.reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {numbers.count(n)}" for reason, n in ranked) or numbers.NONE


def _gallery(name: str, images: Sequence[StoredImage], side: int, caption: str) -> list[Block]:
    """Show images; those that no decoder opens are counted instead."""
    thumbnails: list[Thumbnail] = []
    broken = 0
    for image in images:
        try:
            thumbnails.append(pictures.thumbnail(image.data, side=side, label=image.note))
        except OSError:  # Pillow's word for a file that is cut, or no image at all
            broken += 1
    if broken:
        caption += f" {broken} of the {len(images)} chosen cannot be decoded and are not shown."
    if not thumbnails:
        return [Missing(text=caption)] if images else []
    return [Gallery(name=name, caption=caption, thumbnails=tuple(thumbnails))]
