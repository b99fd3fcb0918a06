"""The `franca` command: every stage is a sub-command; `franca <stage> --help` explains it."""

import contextlib
import errno
import inspect
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from franca.export import FormatName
from franca.models.gpus import GPUS
from franca.train.interruption import requeue_at_once
from workflow import data_cli, eval_cli, receipts
from workflow.execute import Run, run_stage
from workflow.options import Params, Scale, Settings, Show, Variant
from workflow.params import DEFAULT_FILE, ParameterError, load, write_resolved
from workflow.plan.page import describe
from workflow.stages import ARTIFACTS, COMPARED, LOGS, RECEIPT, STAGES, Stage

app = typer.Typer(
    help="The open pipeline behind Franca. Each stage is a sub-command; `snakemake --cores all` "
    "runs all of them in order.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Gpus = Annotated[int, typer.Option(help="GPUs that train together.", metavar="N")]
GpuName = Annotated[str, typer.Option("--gpu", help=f"One of {', '.join(GPUS)}.")]
Utilisation = Annotated[
    float, typer.Option(help="Share of the GPU's bf16 peak that training reaches.")
]
Remote = Annotated[str | None, typer.Option(help="DVC remote to pull from.")]
Format = Annotated[FormatName, typer.Option("--format", help="What to write.")]
Weights = Annotated[
    Path, typer.Option(help="A checkpoint of this pipeline, or a released file.", metavar="FILE")
]
Rasa = Annotated[
    Path | None,
    typer.Option(help="map.safetensors, or a released file with RASA heads.", metavar="FILE"),
]
Together = Annotated[
    list[str],
    typer.Argument(
        help="Options of torchrun, then a stage with its own.",
        metavar="[TORCHRUN OPTIONS] STAGE [OPTIONS]",
    ),
]
Output = Annotated[Path, typer.Option(help="A new folder.", metavar="FOLDER")]


_PARTS = {
    "group": "Only this group of rows, such as group-000; default: all, then the rest.",
    "checkpoint": "Only this checkpoint; default: all, then their summary.",
}


def _make_command(stage: Stage) -> Callable[..., None]:
    """Return the sub-command of a stage; one that runs in parts has an option that names a part."""
    option = typer.Option(f"--{stage.fan_out}", help=_PARTS.get(stage.fan_out or ""))

    def command(
        part: Annotated[str | None, option] = None,
        scale: Scale = None,
        variant: Variant = None,
        params: Params = DEFAULT_FILE,
        settings: Settings = None,
        show: Show = False,
    ) -> None:
        selected = load(params, scale=scale, variant=variant, settings=settings)
        run = Run(stage=stage, **selected._asdict())
        if show:
            typer.echo(run.describe())
        else:
            run_stage(run, part=part)

    if stage.fan_out is None:
        _, *others = inspect.signature(command).parameters.values()
        command.__signature__ = inspect.Signature(others)  # type: ignore[attr-defined]
    return command


for _stage in STAGES:
    app.command(_stage.name, help=_stage.summary, rich_help_panel="Stages, in order")(
        _make_command(_stage)
    )


app.add_typer(data_cli.app, name="data", rich_help_panel="Tools")
app.add_typer(eval_cli.app, name="eval", rich_help_panel="Tools")


@app.command("params", rich_help_panel="Tools")
def write_params(
    scale: Scale = None, variant: Variant = None, params: Params = DEFAULT_FILE
) -> None:
    """Check params.yaml and write every stage's resolved parameters."""
    selected = load(params, scale=scale, variant=variant)
    write_resolved(selected.parameters, scale=selected.scale, variant=selected.variant)


@app.command(rich_help_panel="Tools")
def plan(
    scale: Scale = None,
    variant: Variant = None,
    params: Params = DEFAULT_FILE,
    settings: Settings = None,
    gpus: Gpus = 8,
    gpu: GpuName = "h100",
    utilisation: Utilisation = 0.4,
) -> None:
    """Say what a scale needs before it runs: operations, memory, GPU-hours, download, storage."""
    parameters, scale, variant = load(params, scale=scale, variant=variant, settings=settings)
    if gpu not in GPUS:
        raise ParameterError(f"--gpu {gpu}: choose one of {', '.join(GPUS)}")
    if not 0 < utilisation <= 1:
        raise ParameterError(f"--utilisation {utilisation}: must be above 0 and at most 1")
    if not 1 <= gpus <= parameters.pretrain.global_batch_size:
        raise ParameterError(
            f"--gpus {gpus}: must be at least 1 and at most pretrain.global_batch_size "
            f"{parameters.pretrain.global_batch_size}"
        )
    typer.echo(
        describe(
            parameters,
            scale=scale,
            variant=variant,
            gpu=GPUS[gpu],
            num_gpus=gpus,
            utilisation=utilisation,
        )
    )


@app.command(rich_help_panel="Tools")
def pull(remote: Remote = None) -> None:
    """Fetch shared artefacts, and make both engines agree that nothing is left to do.

    `dvc pull` leaves modification times that mean nothing, and Snakemake goes by them. Once DVC has
    confirmed that everything is what dvc.lock says, the outputs are adopted as they are: all of
    them, also where the times happen to be in order, so that Snakemake knows what each was made of.
    """
    subprocess.run(["dvc", "pull", *(["--remote", remote] if remote else [])], check=True)
    if subprocess.run(["dvc", "status", "--quiet"], check=False).returncode != 0:
        raise ValueError(
            "what was pulled does not match params.yaml and dvc.lock (see `dvc status`): check out "
            "the commit that the artefacts belong to, or `dvc repro`"
        )
    adopt = ["snakemake", "--cores", "1", "--touch", "--forceall", "--quiet", "all"]
    subprocess.run(adopt, check=True)


@app.command(rich_help_panel="Tools")
def verify() -> None:
    """Check every published file against the sha256 in its receipt."""
    for file in sorted(ARTIFACTS.rglob(RECEIPT)):
        typer.echo(f"{file.parent}: {receipts.verify_hashes(file.parent)} files as they were made")


@app.command(rich_help_panel="Tools")
def ablation(scale: Scale = None, params: Params = DEFAULT_FILE) -> None:
    """Compare the variants' evaluations: the paper's Figure 2 at this scale."""
    from workflow.ablation import run_ablation  # here, because matplotlib is slow to import

    parameters, scale, _ = load(params, scale=scale, variant=COMPARED[-1])
    run_ablation(parameters, scale=scale)


@app.command("torchrun", rich_help_panel="Tools", context_settings={"ignore_unknown_options": True})
def train_together(arguments: Together) -> None:
    """Train a stage in several processes: `franca torchrun --nproc-per-node 8 pretrain`.

    On several nodes, start it on each with torchrun's --nnodes, --rdzv-backend c10d and
    --rdzv-endpoint. SIGUSR1 or SIGTERM, to this command or to any process, makes all of them save
    and leave; the exit status is then 75: start it again, it continues. docs/training.md has more.
    """
    requeue_at_once()  # until torchrun, whose import takes seconds, listens itself
    from franca.train.launch import launch

    raise SystemExit(launch("franca", arguments))


@app.command("export", rich_help_panel="Tools")
def export_weights(
    format_name: Format, weights: Weights, output: Output, rasa: Rasa = None
) -> None:
    """Write weights for another library, if what it reads gives the same features."""
    from franca.export.run import run  # here, because torch is slow to import

    for line in run(format_name=format_name, weights=weights, rasa=rasa, output=output):
        typer.echo(line)


_WRITABLE = "; artifacts/, work/ and logs/ must be writable"
_REMEDIES = {
    errno.ENOSPC: "; free some space and start again: it goes on where it was",
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
}


def main() -> None:
    """Run the command line; what fails ends in one line: status 2, or 1 if unforeseen."""
    if not sys.stderr.isatty():  # a log: progress bars, those of workers too, write now and then
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    try:
        app()
    except Exception as error:  # noqa: BLE001  the last door
        foreseen = isinstance(error, ValueError | OSError | subprocess.CalledProcessError)
        kind = "" if foreseen else f"{type(error).__name__}: "
        remedy = _REMEDIES.get(getattr(error, "errno", None) or 0, "")
        sys.stderr.write(f"franca: {kind}{' '.join(str(error).split())}{remedy}\n")
        if not isinstance(error, ParameterError):
            _keep_traceback(hint="" if foreseen else "; did a file change? `franca verify` tells")
        raise SystemExit(2 if foreseen else 1) from None


def _keep_traceback(*, hint: str) -> None:
    file = LOGS / "traceback.txt"
    with contextlib.suppress(OSError):  # a disk that is full or cannot be written
        LOGS.mkdir(exist_ok=True)
        file.write_text(traceback.format_exc(), encoding="utf-8")
        sys.stderr.write(f"franca: the traceback is in {file}{hint}\n")
