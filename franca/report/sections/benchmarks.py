"""Chapter: convergence of every benchmark over the kept checkpoints, and all numbers in full."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from franca.report import numbers
from franca.report.blocks import Block, Cell, Column, Fold, Missing, Section, Table
from franca.report.comparison import ARROWS, common_decimals, label, number
from franca.report.figures import Figures
from franca.report.plots.curves import Line, Panel, draw_panels
from franca.report.results import HIGHRES, RANDOM, RASA, Measure, Result, Results

_PHASES: Final = {HIGHRES: "HR", RASA: "RASA"}
_NAMES: Final = ("pretraining", "high-resolution fine-tuning", "RASA")


def build_benchmarks(results: Results, figures: Figures) -> Section:
    """Build the chapter."""
    title, slug = "Convergence", "convergence"
    if not len(results):
        text = "No benchmark was run at this scale, so there are no convergence curves."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    panels = [_panel(results, measure) for measure in results.main_measures()]
    plot = figures.save(
        draw_panels(panels, x_label="step of the checkpoint"),
        name="convergence",
        alt=f"Main metric of {len(panels)} benchmarks over the checkpoints, with 95 % bands.",
        caption=(
            "Main metric of every benchmark at each kept checkpoint, evenly spaced and labelled "
            "by step; after the last step, high-resolution fine-tuning (HR) and RASA. Bands and "
            "bars: 95 % intervals. Dashed line and grey band: the random initialisation. Arrows "
            "say which way is better."
        ),
    )
    blocks: list[Block] = [plot]
    blocks.append(Fold(title=f"All {len(results)} numbers", blocks=(_full_table(results),)))
    return Section(slug=slug, title=title, blocks=tuple(blocks))


def _panel(results: Results, measure: Measure) -> Panel:
    checkpoints = results.checkpoints()
    places = {name: float(place) for place, name in enumerate(checkpoints)}
    series: list[list[Result]] = [[], [], []]
    for name in checkpoints:
        result = results.get(name, measure)
        if result is not None:
            series[list(_PHASES).index(name) + 1 if name in _PHASES else 0].append(result)
    reference = results.get(RANDOM, measure)
    steps = [name for name in checkpoints if name not in _PHASES]
    later = [(places[name], text) for name, text in _PHASES.items() if name in places]
    return Panel(
        title=f"{measure.name} · {measure.dataset}{ARROWS[measure.direction]}",
        axis=measure.metric,
        lines=tuple(_line(points, places, tone) for tone, points in enumerate(series) if points),
        reference=(reference.value, reference.interval) if reference else None,
        phases=tuple(place - 0.5 for place, _ in later),
        ticks=tuple(sorted([*_step_ticks(steps, places), *later])),
    )


def _line(points: Sequence[Result], places: dict[str, float], tone: int) -> Line:
    bounds = [p.interval or (p.value, p.value) for p in points]
    return Line(
        label=_NAMES[tone],
        x=np.array([places[p.checkpoint] for p in points]),
        y=np.array([p.value for p in points]),
        low=np.array([low for low, _ in bounds]),
        high=np.array([high for _, high in bounds]),
        tone=tone,
        markers=True,
    )


def _step_ticks(steps: Sequence[str], places: dict[str, float]) -> list[tuple[float, str]]:
    """Label at most four steps, the first and the last among them."""
    stride = max(1, -(-(len(steps) - 1) // 3))
    chosen = {*steps[::-1][::stride], *steps[:1]}
    return [(places[name], _short(int(name.removeprefix("step-")))) for name in chosen]


def _short(step: int) -> str:
    """Write a step for an axis: 62500 -> 62.5k."""
    return f"{step / 1000:g}k" if step >= 10_000 else str(step)


def _full_table(results: Results) -> Table:
    checkpoints = results.checkpoints()
    columns = [Column(title="Measure"), *(Column(title=c, numeric=True) for c in checkpoints)]
    rows = []
    for measure in results.measures():
        found = [results.get(name, measure) for name in checkpoints]
        images = max((r.count for r in found if r), default=0)
        head = label(measure)
        note = f"{head.note} · n = {numbers.count(images)}"
        places = common_decimals(found)
        cells = (number(result, places) for result in found)
        rows.append((Cell(text=head.text, note=note), *cells))
    return Table(
        caption="Every metric of every checkpoint, with 95 % intervals.",
        columns=tuple(columns),
        rows=tuple(rows),
    )
