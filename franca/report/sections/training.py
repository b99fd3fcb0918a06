"""Chapter: training curves of both training stages, one panel a quantity, one line a level."""

from collections.abc import Mapping
from typing import Final

from franca.report.blocks import Block, Missing, Prose, Section
from franca.report.figures import Figures
from franca.report.plots.curves import Line, Panel, draw_panels
from franca.report.training_log import Numbers, thin

_POINTS: Final = 240
TRAINING: Final = {"pretrain": "Pretraining", "finetune_highres": "High-resolution fine-tuning"}
Log = Mapping[str, tuple[Numbers, Numbers]]


def build_training(logs: Mapping[str, Log], figures: Figures) -> Section:
    """Build the chapter.

    Args:
        logs: What `read_log` returned, by stage.
        figures: Where figures go.
    """
    blocks: list[Block] = []
    for stage, title in TRAINING.items():
        log = logs.get(stage, {})
        if not log:
            blocks.append(Missing(text=f"{title}: no `metrics.jsonl`, so there are no curves."))
            continue
        panels = _panels(log)
        steps = int(max(steps[-1] for steps, _ in log.values()))
        drawn = draw_panels(panels, columns=4, x_label="step")
        blocks.append(Prose(text=f"**{title}**, to step {steps}."))
        blocks.append(
            figures.save(
                drawn,
                name=f"training-{stage}",
                alt=f"{title}: curves of {', '.join(panel.title for panel in panels)} by step.",
                caption=_caption(panels),
            )
        )
    return Section(slug="training", title="Training", blocks=tuple(blocks))


def _caption(panels: list[Panel]) -> str:
    levels = any(len(panel.lines) > 1 for panel in panels)
    lines = " Lines of one panel are Matryoshka levels." if levels else ""
    return (
        f"Losses, gradient norms and scheduled quantities by step.{lines} Long logs are averaged "
        f"to {_POINTS} points."
    )


def _panels(log: Log) -> list[Panel]:
    """One panel for each quantity; `quantity/level` names share the panel of their quantity."""
    groups: dict[str, list[str]] = {}
    for name in log:
        groups.setdefault(name.partition("/")[0], []).append(name)
    return [
        Panel(
            title=quantity.replace("_", " "),
            axis="",
            lines=tuple(_line(name, log[name], tone) for tone, name in enumerate(names)),
        )
        for quantity, names in groups.items()
    ]


def _line(name: str, column: tuple[Numbers, Numbers], tone: int) -> Line:
    steps, values = thin(*column, points=_POINTS)
    return Line(label=name.partition("/")[2], x=steps, y=values, tone=tone)
