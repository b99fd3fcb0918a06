"""Chapter: how much of its place a patch gives away, round by round of RASA, and on a map."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from franca.report.blocks import Block, Cell, Column, Missing, Prose, Section, Table
from franca.report.features import Samples
from franca.report.figures import Figures
from franca.report.numbers import fixed, share_of_one
from franca.report.plots.curves import Line, Panel, draw_panels
from franca.report.plots.position import draw_position_maps
from franca.report.position import predict_positions, r_squared
from franca.report.results import HIGHRES, RASA

_TITLES: Final = {HIGHRES: "before RASA", RASA: "after RASA"}
_PROBES: Final = {"linear": "linear", "mlp": "small network"}


def read_diagnostics(folder: Path) -> dict[str, Any] | None:
    """Read `diagnostics.json` of a rasa folder; None if there is none."""
    file = folder / "diagnostics.json"
    if not file.is_file():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def build_position(
    diagnostics: Mapping[str, Any] | None, samples: Mapping[str, Samples], figures: Figures
) -> Section:
    """Build the chapter.

    Args:
        diagnostics: What `read_diagnostics` returned.
        samples: What `read_samples` returned, by checkpoint.
        figures: Where figures go.
    """
    if diagnostics is None:
        blocks: list[Block] = [Missing(text="RASA left no diagnostics, so there are none to show.")]
    else:
        blocks = [_intro(diagnostics), _probes(diagnostics), *_rounds(diagnostics, figures)]
    blocks += _maps(samples, figures)
    return Section(slug="position", title="Position and RASA", blocks=tuple(blocks))


def _intro(diagnostics: Mapping[str, Any]) -> Prose:
    images = diagnostics["images"]
    return Prose(
        text=(
            f"Method `{diagnostics['method']}`, fitted on {images['fit']} images, is a map of rank "
            f"{diagnostics['rank']} that takes out what predicts the target "
            f"`{diagnostics['target']}`, and with it "
            f"{share_of_one(diagnostics['energy_removed'])} of the features' energy. "
            f"Probes, fitted on {images['probe']} other images and scored on as many again, say "
            "what is left: an R² of 0 is chance, 1 is perfect knowledge."
        )
    )


def _probes(diagnostics: Mapping[str, Any]) -> Table:
    names = _target_names(diagnostics)
    rows = []
    for key, probe in _PROBES.items():
        for index, name in enumerate(names):
            before, after = (diagnostics[when][key] for when in ("before", "after"))
            rows.append((
                Cell(text=f"{name}, {probe}"),
                *(Cell(text=fixed(found["r2"][index], 3)) for found in (before, after)),
                *(Cell(text=fixed(found["mse"][index], 4)) for found in (before, after)),
                Cell(text=fixed(after["chance_mse"][index], 4)),
            ))  # fmt: skip
    return Table(
        caption="Probes on held-out images, before and after RASA. Negative R²: worse than chance.",
        columns=(
            Column(title="Target, probe"),
            *(
                Column(title=title, numeric=True)
                for title in ("R² before", "R² after", "MSE before", "MSE after", "MSE of chance")
            ),
        ),
        rows=tuple(rows),
    )


def _target_names(diagnostics: Mapping[str, Any]) -> list[str]:
    number = len(diagnostics["before"]["linear"]["r2"])
    if diagnostics["target"] == "linear":
        return ["row", "column"]
    return [f"{diagnostics['target']} {index + 1}" for index in range(number)]


def _rounds(diagnostics: Mapping[str, Any], figures: Figures) -> list[Block]:
    rounds = [diagnostics["before"]["linear"], *diagnostics["after_round"]]
    if len(rounds) < 2:
        return [Missing(text=f"`{diagnostics['method']}` works in one go: there are no rounds.")]
    lines = tuple(
        Line(
            label=name,
            x=np.arange(len(rounds), dtype=np.float64),
            y=np.array([found["r2"][index] for found in rounds]),
            tone=index,
            markers=True,
        )
        for index, name in enumerate(_target_names(diagnostics))
    )
    ticks = tuple((float(number), str(number)) for number in range(len(rounds)))
    panel = Panel(
        title="", axis="R² of a linear probe", lines=lines, reference=(0.0, None), ticks=ticks
    )
    plot = figures.save(
        draw_panels([panel], columns=2, x_label="rounds of RASA"),
        name="rasa-rounds",
        alt=f"R² of a linear probe of position over {len(rounds) - 1} rounds of RASA.",
        caption="What a linear probe on held-out images recovers after each round; 0: before any.",
    )
    return [plot]


def _maps(samples: Mapping[str, Samples], figures: Figures) -> list[Block]:
    shown = {
        title: samples[name]
        for name, title in _TITLES.items()
        if name in samples and len(samples[name].images) > 1
    }
    if not shown:
        text = "The evaluation stored no patch features of sample images, so there are no maps."
        return [Missing(text=text)]
    predictions = {title: predict_positions(sample) for title, sample in shown.items()}
    explained = ", ".join(
        f"{fixed(r_squared(values), 2)} {title}" for title, values in predictions.items()
    )
    num_images = len(next(iter(shown.values())).images)
    plot = figures.save(
        draw_position_maps({title: values.mean(0) for title, values in predictions.items()}),
        name="position-maps",
        alt=f"Maps of the row and column predicted from patch features; R² {explained}.",
        caption=(
            "Row and column of each patch (0 to 1) predicted from its features by ridge "
            f"regression, mean over {num_images} sample images, each predicted from the others. A "
            "gradient means that features tell where they are; an even tone, that they do not. R² "
            f"on these few images: {explained}."
        ),
    )
    return [plot]
