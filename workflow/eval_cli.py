"""`franca eval`: what can be measured, on any model, compared and laid out in tables."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow.options import Params, Scale, Settings, Variant
from workflow.params import DEFAULT_FILE, ParameterError, load
from workflow.plan.text import table

app = typer.Typer(
    help="Benchmarks by hand: list them, run them on any model, compare and tabulate results. "
    "The stage `evaluate` does the same for the pipeline's own checkpoints.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="[NAME=]WHAT, may be repeated. WHAT is a checkpoint of the pipeline (step-0000400, "
        "highres, rasa), franca:FILE (ours, or a released Franca or DINOv2 file), timm:MODEL@FILE, "
        "open_clip:MODEL@FILE, or random:ARCH; without @FILE, random weights.",
        metavar="[NAME=]WHAT",
    ),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option("--benchmark", help="May be repeated; default: those of the scale's tasks."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="May be repeated; default: those of the scale's tasks."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many images of each split.")]
Output = Annotated[Path, typer.Option(help="Folder of folders of results.", metavar="FOLDER")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run and what it costs.")]
Folder = Annotated[Path, typer.Argument(help="A model's folder of results.", metavar="FOLDER")]
Baseline = Annotated[Path, typer.Argument(help="Another one, to compare with.", metavar="BASELINE")]
Folders = Annotated[list[Path], typer.Argument(help="Folders of results.", metavar="FOLDER...")]
Paper = Annotated[
    str | None,
    typer.Option(help="Also show the paper's numbers of this model, e.g. 'Franca ViT-B/14'."),
]
SameWeights = Annotated[
    bool, typer.Option(help="The last folder is of the very weights that the paper reports.")
]


class TableFormat(StrEnum):
    """How a table is written."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"


@app.command("list")
def list_benchmarks(scale: Scale = None, params: Params = DEFAULT_FILE) -> None:
    """List the benchmarks, the kind of set each needs, and the scale's sets that fit."""
    from franca.eval.inputs.kinds import KINDS, fits  # here, because torch is slow to import
    from franca.eval.registry import BENCHMARKS

    sets = load(params, scale=scale).parameters.evaluation_sets
    rows = [["benchmark", "version", "follows training", "needs a set of", "sets of this scale"]]
    for benchmark in BENCHMARKS.values():
        kinds = KINDS[benchmark.kind].set_kinds
        fitting = ", ".join(name for name in sets if fits(benchmark.kind, sets, name))
        quick = "yes" if benchmark.quick else "no"
        rows.append(
            [benchmark.name, benchmark.version, quick, " or ".join(kinds), fitting or "none"]
        )
    typer.echo("\n".join(table(rows)))


@app.command()
def show(
    benchmark: Annotated[str, typer.Argument(help="See `franca eval list`.")],
    scale: Scale = None,
    params: Params = DEFAULT_FILE,
) -> None:
    """Show a benchmark: protocol, source, metrics, data sets, cost, quick form, parameters."""
    from franca.eval.registry import BENCHMARKS
    from workflow.benchmark_page import QUICK_SCALE, describe

    if benchmark not in BENCHMARKS:
        raise ParameterError(f"no benchmark '{benchmark}'; known: {', '.join(BENCHMARKS)}")
    parameters, quick = (load(params, scale=s).parameters for s in (scale, QUICK_SCALE))
    typer.echo(describe(BENCHMARKS[benchmark], parameters=parameters, quick=quick))


@app.command()
def run(
    models: Models,
    benchmarks: Benchmarks = None,
    datasets: Datasets = None,
    scale: Scale = None,
    variant: Variant = None,
    params: Params = DEFAULT_FILE,
    settings: Settings = None,
    limit: Limit = None,
    output: Output = Path("evaluations"),
    dry_run: DryRun = False,
) -> None:
    """Run benchmarks on models; what a folder holds already is not run again.

    Each model gets a folder with metrics.json, details.json and, per image, what the numbers rest
    on (evidence/). Features are extracted once and kept beside them.
    """
    from workflow import evaluations

    selected = load(params, scale=scale, variant=variant, settings=settings)
    grid = evaluations.Grid(
        **selected._asdict(),
        models=dict(map(_named, models)),
        benchmarks=benchmarks or [],
        datasets=datasets or [],
        limit=limit,
        output=output,
    )
    for line in evaluations.describe(grid) if dry_run else evaluations.run(grid):
        typer.echo(line)


@app.command()
def compare(folder: Folder, baseline: Baseline) -> None:
    """Compare two models image by image: differences with paired 95 % intervals and p values."""
    from workflow import evaluations

    typer.echo("\n".join(evaluations.compared(folder, baseline)))


@app.command()
def seeds(folders: Folders) -> None:
    """Show how far another seed moves each number, apart from the error of sampling images.

    The folders are runs that differ in nothing but `--set seed=N`, or in the weights of a training
    with another seed.
    """
    from workflow import evaluations

    typer.echo("\n".join(evaluations.seed_spread(folders)))


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="gnd_roxford5k.pkl or gnd_rparis6k.pkl.")],
) -> None:
    """Write the ground truth of revisited Oxford or Paris as JSON, running nothing of its pickle.

    Only lists, dictionaries, numbers, strings and NumPy arrays are built; a pickle that names
    anything else is refused.
    """
    from franca.eval.inputs.revisited import convert as convert_file

    typer.echo(convert_file(file))


@app.command("table")
def make_table(
    folders: Folders,
    form: Annotated[TableFormat, typer.Option("--format", help="How.")] = TableFormat.markdown,
    paper: Paper = None,
    same_weights: SameWeights = False,
) -> None:
    """Lay out the results of several models side by side; with the paper's beside the last one.

    A number is held against the paper's only where benchmark, data set and what the protocol fixes
    are the same; otherwise the verdict says what differs.
    """
    from franca.eval.published import published_models
    from franca.eval.tables import csv_text, latex, main_cells, markdown, with_paper
    from workflow import evaluations

    if paper is not None and paper not in published_models():
        raise ParameterError(f"--paper '{paper}': not one of {', '.join(published_models())}")
    results = {folder.name: evaluations.read_results(folder) for folder in folders}
    if form is TableFormat.csv:
        typer.echo(csv_text(results), nl=False)
        return
    cells = main_cells(results)
    if paper is not None:
        verdicts = evaluations.paper_comparisons(
            folders[-1], model=paper, same_weights=same_weights
        )
        cells = with_paper(cells, verdicts)
    typer.echo((latex if form is TableFormat.latex else markdown)(cells), nl=False)


def _named(model: str) -> tuple[str, str]:
    """Split NAME=WHAT; without a name, make one that can be a folder's."""
    name, separator, spec = model.rpartition("=")
    if not separator:
        name = "-".join(part for part in re.split("[:/@]", spec) if part)
    if not name or "/" in name:
        raise ParameterError(f"--model {model}: write NAME=WHAT with a name for a folder")
    return name, spec
