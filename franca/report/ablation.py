"""The controlled comparison: the baseline, then one component of the method after another.

The paper's Figure 2 at whatever scale was run: DINOv2, + Matryoshka and CyclicMask, + fine-tuning
at high resolution, + RASA.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from franca.report.blocks import Block, Page, Prose, Section
from franca.report.comparison import (
    ARROWS,
    Comparison,
    Contender,
    Key,
    compare,
    comparison_table,
    count_tones,
    how_compared,
)
from franca.report.figures import Figures
from franca.report.page import write_page
from franca.report.plots.ablation import Bar, draw_ladders
from franca.report.results import (
    HIGHRES,
    RANDOM,
    RASA,
    Measure,
    Results,
    index_comparisons,
    join_results,
    read_results,
)
from franca.report.sections.truncation import build_truncation

BASELINE: Final = "dinov2"
METHOD: Final = "franca"


def build_ablation(
    results: Mapping[str, Path],
    *,
    scale: str,
    main_metrics: Mapping[str, str],
    dpi: int,
    output: Path,
    comparisons: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write `index.html`, `report.md`, `ablation.json` and `figures/` that compare two variants.

    Args:
        results: Published evaluate folders by variant; `dinov2` and `franca` must be among them.
        scale: Name of the scale, for the title.
        main_metrics: The metric that stands for a benchmark, by benchmark.
        dpi: Pixels per inch of the PNG figures.
        output: Folder to write to; made if absent.
        comparisons: Differences between variants on the same images, as rows of a
            `comparisons.json` whose checkpoints are named `<variant>/<checkpoint>`. Pairs that are
            not among them are compared as if their samples were independent.

    Returns:
        What `ablation.json` holds.

    Raises:
        ValueError: A variant is missing, or was not evaluated after pretraining.
    """
    runs = _read_runs(results, main_metrics)
    joined = join_results(runs, paired=index_comparisons(comparisons))
    figures = Figures(output / "figures", dpi=dpi)
    ladder = _ladder(runs)
    measures = [m for m in runs[METHOD].main_measures() if joined.get(ladder[0].checkpoint, m)]
    changes = compare(joined, measures, ladder, against="previous")
    page = Page(
        title="What each component adds",
        subtitle=f"The component ablation at scale `{scale}`",
        abstract=_abstract(ladder, changes, measures),
        facts=(("Scale", scale), ("Baseline", BASELINE), ("Method", METHOD)),
        sections=(
            _ladder_section(joined, measures, ladder, changes, figures),
            build_truncation(_truncated(runs), figures),
            _posttraining_section(joined, measures),
        ),
    )
    write_page(page, output=output, figures=figures)
    summary = _summarise(joined, measures, ladder, changes, scale=scale)
    text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
    (output / "ablation.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _read_runs(results: Mapping[str, Path], main_metrics: Mapping[str, str]) -> dict[str, Results]:
    for variant in (BASELINE, METHOD):
        if variant not in results:
            raise ValueError(
                f"the ablation needs the variant '{variant}' but got {', '.join(results)}: "
                f"evaluate it first (`snakemake --config variant={variant}`)"
            )
    return {
        variant: read_results(folder, main_metrics=main_metrics)
        for variant, folder in results.items()
    }


def _last_step(runs: Mapping[str, Results], variant: str) -> str:
    step = runs[variant].trained()
    if step is None:
        raise ValueError(
            f"variant '{variant}' has no evaluated checkpoint after step 0: raise "
            "pretrain.num_kept and rerun the stage evaluate"
        )
    return step


def _ladder(runs: Mapping[str, Results]) -> list[Contender]:
    return [
        Contender("DINOv2 baseline", f"{BASELINE}/{_last_step(runs, BASELINE)}"),
        Contender("+ Matryoshka, CyclicMask", f"{METHOD}/{_last_step(runs, METHOD)}"),
        Contender("+ High-res", f"{METHOD}/{HIGHRES}"),
        Contender("+ RASA", f"{METHOD}/{RASA}"),
    ]


def _abstract(
    ladder: Sequence[Contender], changes: Mapping[Key, Comparison], measures: Sequence[Measure]
) -> str:
    parts = []
    for title, checkpoint in ladder[1:]:
        better, worse, _ = count_tones(changes, checkpoint)
        parts.append(f"{title.removeprefix('+ ')}: {better} better, {worse} worse")
    return (
        f"On {len(measures)} benchmarks, each component against the step before it. Significant "
        f"changes: {'; '.join(parts)}. All others may be chance."
    )


def _ladder_section(
    results: Results,
    measures: Sequence[Measure],
    ladder: Sequence[Contender],
    changes: Mapping[Key, Comparison],
    figures: Figures,
) -> Section:
    panels = [
        (
            f"{measure.name} · {measure.dataset}: {measure.metric}{ARROWS[measure.direction]}",
            [_bar(results, rung, measure) for rung in ladder],
        )
        for measure in measures
    ]
    plot = figures.save(
        draw_ladders(panels),
        name="ladder",
        alt=f"Bars of {len(measures)} benchmarks for {', '.join(rung.title for rung in ladder)}.",
        caption="The baseline (grey) and each component added to it; lines are 95 % intervals.",
    )
    table = comparison_table(
        results,
        measures,
        ladder,
        changes,
        caption=(
            "95 % intervals below each value. ▲ better and ▼ worse than the column to the left, "
            "significant at 5 % after Holm's correction over the whole table. Δ: last column less "
            "the one before it. " + how_compared(changes)
        ),
    )
    return Section(slug="components", title="Components", blocks=(plot, table))


def _bar(results: Results, rung: Contender, measure: Measure) -> Bar:
    result = results.get(rung.checkpoint, measure)
    return Bar(
        label=rung.title,
        value=result.value if result else None,
        interval=result.interval if result else None,
    )


def _truncated(runs: Mapping[str, Results]) -> dict[str, tuple[Results, str]]:
    curves = {name: (runs[name], _last_step(runs, name)) for name in (METHOD, BASELINE)}
    return {**curves, "random init": (runs[METHOD], RANDOM)}


def _posttraining_section(results: Results, measures: Sequence[Measure]) -> Section:
    """Both variants with the same post-training, as in the paper's Table 2."""
    blocks: list[Block] = [
        Prose(
            text=(
                "The ladder above gives only the method high-resolution fine-tuning and RASA. "
                "Here the baseline gets them too, so that what differs is the pretraining alone."
            )
        )
    ]
    for checkpoint in (HIGHRES, RASA):
        pair = [
            Contender(f"{variant}, {checkpoint}", f"{variant}/{checkpoint}")
            for variant in (BASELINE, METHOD)
        ]
        changes = compare(results, measures, pair, against="first")
        caption = (
            "▲ better and ▼ worse than the baseline, significant at 5 % after Holm's correction "
            "over this table. Δ: method less baseline. " + how_compared(changes)
        )
        blocks.append(comparison_table(results, measures, pair, changes, caption=caption))
    return Section(slug="posttraining", title="With the same post-training", blocks=tuple(blocks))


def _summarise(
    results: Results,
    measures: Sequence[Measure],
    ladder: Sequence[Contender],
    changes: Mapping[Key, Comparison],
    *,
    scale: str,
) -> dict[str, Any]:
    rows = []
    for measure in measures:
        for title, checkpoint in ladder:
            result = results.get(checkpoint, measure)
            change = changes.get((checkpoint, measure.key))
            rows.append(
                {
                    "benchmark": measure.benchmark,
                    "dataset": measure.dataset,
                    "metric": measure.metric,
                    "direction": measure.direction,
                    "step": title,
                    "checkpoint": checkpoint,
                    "value": result.value if result else None,
                    "ci95": list(result.interval) if result and result.interval else None,
                    "change": round(change.difference.delta, 6) if change else None,
                    "change_ci95": [round(b, 6) for b in change.difference.interval]
                    if change
                    else None,
                    "paired": change.difference.paired if change else None,
                    "significant": bool(change and change.tone),
                }
            )
    return {"scale": scale, "rows": rows}
