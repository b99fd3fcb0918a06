"""Tables that compare checkpoints on every benchmark, and what may be claimed from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from franca.report import numbers
from franca.report.blocks import Cell, Column, Table, Tone
from franca.report.results import Difference, Measure, Result, Results, holm

ARROWS: Final = {"higher": "\N{NO-BREAK SPACE}↑", "lower": "\N{NO-BREAK SPACE}↓"}
_MARKS: Final[dict[Tone, str]] = {"better": " ▲", "worse": " ▼"}
Key = tuple[str, tuple[str, str, str]]


class Contender(NamedTuple):
    """One column: a checkpoint and its title in the table."""

    title: str
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A contender's change on one measure; the tone is empty unless the change is significant."""

    difference: Difference
    tone: Tone


def compare(
    results: Results,
    measures: Sequence[Measure],
    contenders: Sequence[Contender],
    *,
    against: Literal["first", "previous"],
) -> dict[Key, Comparison]:
    """Test every contender but the first on every measure.

    The tests are corrected together (Holm at 5 %), so that a table's many cells do not make one of
    them significant by chance.

    Args:
        results: Where the numbers are.
        measures: Rows.
        contenders: Columns.
        against: Which contender each is tested against.

    Returns:
        Comparisons by (checkpoint, key of the measure), where both have an interval.
    """
    found: dict[Key, tuple[Measure, Difference]] = {}
    for measure in measures:
        for place, contender in enumerate(contenders[1:]):
            rival = contenders[0 if against == "first" else place]
            change = results.difference(contender.checkpoint, rival.checkpoint, measure)
            if change:
                found[contender.checkpoint, measure.key] = (measure, change)
    sure = holm([change.p_value for _, change in found.values()])
    return {
        key: Comparison(difference=change, tone=_judge(measure, change) if significant else "")
        for (key, (measure, change)), significant in zip(found.items(), sure, strict=True)
    }


def _judge(measure: Measure, change: Difference) -> Tone:
    return "better" if (change.delta > 0) == (measure.direction == "higher") else "worse"


def count_tones(comparisons: Mapping[Key, Comparison], checkpoint: str) -> tuple[int, int, int]:
    """Return on how many measures a checkpoint is better, worse, and not distinguishable."""
    tones = [found.tone for (name, _), found in comparisons.items() if name == checkpoint]
    return tones.count("better"), tones.count("worse"), tones.count("")


def how_compared(comparisons: Mapping[Key, Comparison]) -> str:
    """Say in a sentence what the intervals of the differences rest on."""
    paired = {found.difference.paired for found in comparisons.values()}
    if paired == {True}:
        return "Differences are paired: both checkpoints are compared image by image."
    cautious = "treat the samples as independent, which is cautious: they are the same images."
    return f"Intervals of {'some ' if True in paired else ''}differences {cautious}"


def comparison_table(
    results: Results,
    measures: Sequence[Measure],
    contenders: Sequence[Contender],
    comparisons: Mapping[Key, Comparison],
    *,
    caption: str,
) -> Table:
    """Lay out measures by contenders; then the last contender's change and what is attainable."""
    bounds = any(results.bound(measure) for measure in measures)
    rows = []
    for measure in measures:
        found = [results.get(checkpoint, measure) for _, checkpoint in contenders]
        places = common_decimals(found)
        cells = [label(measure)]
        for (_, checkpoint), result in zip(contenders, found, strict=True):
            comparison = comparisons.get((checkpoint, measure.key))
            tone = comparison.tone if comparison else ""
            cells.append(number(result, places, tone))
        cells.append(_change(comparisons.get((contenders[-1].checkpoint, measure.key)), places))
        rows.append((*cells, number(results.bound(measure), places)) if bounds else tuple(cells))
    columns = (
        Column(title="Benchmark"),
        *(Column(title=contender.title, numeric=True) for contender in contenders),
        Column(title="Δ", numeric=True),
        *([Column(title="Perfect", numeric=True)] if bounds else []),
    )
    return Table(caption=caption, columns=columns, rows=tuple(rows))


def label(measure: Measure) -> Cell:
    """Head a row: benchmark and direction, then metric, unit and data set."""
    unit = f" ({measure.unit})" if measure.unit not in ("", "1", "fraction") else ""
    return Cell(
        text=f"{measure.name}{ARROWS[measure.direction]}",
        note=f"{measure.metric}{unit} · {measure.dataset}",
    )


def common_decimals(found: Iterable[Result | None]) -> int:
    """Return how many decimals a row has: as many as the narrowest of its intervals supports."""
    widths = [numbers.half_width(result.interval) for result in found if result is not None]
    return max(map(numbers.decimals, widths), default=0)


def number(result: Result | None, places: int, tone: Tone = "") -> Cell:
    """Write a value over its interval, with so many decimals."""
    if result is None:
        return Cell(text=numbers.NONE, tone="quiet")
    note = numbers.interval(result.interval, places) if result.interval else "no interval"
    text = numbers.fixed(result.value, places) + _MARKS.get(tone, "")
    return Cell(text=text, tone=tone, note=note)


def _change(comparison: Comparison | None, places: int) -> Cell:
    if comparison is None:
        return Cell(text=numbers.NONE, tone="quiet")
    change = comparison.difference
    return Cell(
        text=numbers.signed(change.delta, places), note=numbers.interval(change.interval, places)
    )
