"""Chapter: accuracy of the first d/2, d/4, … features (the paper's Figure 4)."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from franca.report.blocks import Block, Missing, Section
from franca.report.comparison import ARROWS
from franca.report.figures import Figures
from franca.report.plots.curves import Line, Panel, draw_panels
from franca.report.results import Measure, Result, Results

_PREFIX: Final = re.compile(r"d/(\d+)$")


def build_truncation(curves: Mapping[str, tuple[Results, str]], figures: Figures) -> Section:
    """Build the chapter.

    Args:
        curves: What is drawn: (results, checkpoint) by the name in the legend.
        figures: Where figures go.
    """
    title, slug = "Matryoshka truncation", "truncation"
    panels = _panels(curves)
    if not panels:
        text = "No benchmark was run on truncated features, so there is no truncation curve."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    plot = figures.save(
        draw_panels(panels, x_label="features kept"),
        name="truncation",
        alt=f"Accuracy against the number of features kept, for {', '.join(curves)}.",
        caption=(
            "Only the first features of each image are kept: all d of them, a half, a quarter, and "
            "so on. Bands are 95 % intervals; arrows say which way is better."
        ),
    )
    blocks: list[Block] = [plot]
    return Section(slug=slug, title=title, blocks=tuple(blocks))


def _panels(curves: Mapping[str, tuple[Results, str]]) -> list[Panel]:
    measures: dict[tuple[str, str, str], Measure] = {}
    for results, _ in curves.values():
        measures |= {m.key: m for m in results.main_measures()}
    panels = []
    for measure in measures.values():
        found = {
            name: truncated(results, checkpoint, measure)
            for name, (results, checkpoint) in curves.items()
        }
        if all(len(points) < 2 for points in found.values()):
            continue
        widths = sorted({divisor for points in found.values() for divisor in points})
        panels.append(
            Panel(
                title=f"{measure.name} · {measure.dataset}{ARROWS[measure.direction]}",
                axis=measure.metric.partition("@")[0],
                lines=tuple(
                    _line(name, points, tone)
                    for tone, (name, points) in enumerate(found.items())
                    if points
                ),
                ticks=tuple((np.log2(1 / w), "d" if w == 1 else f"d/{w}") for w in widths),
            )
        )
    return panels


def truncated(results: Results, checkpoint: str, full: Measure) -> dict[int, Result]:
    """Return the results on the first d/n features by n; n = 1 is the measure itself.

    Truncated variants are metrics named like "top1@d/4".
    """
    base = full.metric.partition("@")[0]
    points = {}
    for measure in results.measures():
        name, _, variant = measure.metric.partition("@")
        match = _PREFIX.match(variant)
        divisor = 1 if measure.key == full.key else int(match[1]) if match else None
        same = (measure.benchmark, measure.dataset, name) == (full.benchmark, full.dataset, base)
        result = results.get(checkpoint, measure)
        if same and divisor is not None and result is not None:
            points[divisor] = result
    return points


def _line(name: str, points: Mapping[int, Result], tone: int) -> Line:
    ordered = [points[divisor] for divisor in sorted(points, reverse=True)]
    bounds = [r.interval or (r.value, r.value) for r in ordered]
    return Line(
        label=name,
        x=np.log2([1 / divisor for divisor in sorted(points, reverse=True)]),
        y=np.array([r.value for r in ordered]),
        low=np.array([low for low, _ in bounds]),
        high=np.array([high for _, high in bounds]),
        tone=tone,
        markers=True,
    )
