"""`franca data`: what data there is to train on, copies of it, and selections fetched again."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from workflow.execute import Run
from workflow.params import DEFAULT_FILE, ParameterError, read, resolve, select
from workflow.plan.text import count, table
from workflow.stages import BY_NAME

app = typer.Typer(
    help="Data sets to train on: which there are, how to get them, and how a published selection "
    "is fetched again.",
    no_args_is_help=True,
    add_completion=False,
)

Manifest = Annotated[
    Path, typer.Option(help="manifest.parquet of a published pack_shards.", metavar="FILE")
]
To = Annotated[Path, typer.Option(help="A new folder, or that of a killed run.", metavar="FOLDER")]
MinSame = Annotated[
    float | None,
    typer.Option(
        help="Exit with 1 where a smaller share is still the same; default: "
        "download_images.min_success_rate.",
        metavar="SHARE",
    ),
]


@app.command()
def rebuild(
    manifest: Manifest,
    to: To,
    min_same: MinSame = None,
    scale: Annotated[str | None, typer.Option(help="Scale that it was made with.")] = None,
    params: Annotated[Path, typer.Option(help="Another parameter file.", metavar="FILE")] = (
        DEFAULT_FILE
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a parameter.", metavar="KEY.PATH=VALUE"),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show how, and stop.")] = False,
) -> None:
    """Fetch a published selection again: its shards, and what the web has lost of it.

    Images are fetched and resized as section download_images of the scale says, so take the scale
    and the settings that the selection was made with. Where every original is still the same, the
    shards are the published ones to the byte; link_rot.parquet says of each image whether it is
    the same, changed (left out) or gone, and why.
    """
    from data_filters.download.origin import open_origin
    from data_filters.rebuild.run import rebuild as fetch_again

    tree = read(params)
    scale, variant = select(tree, scale=scale, variant=None)
    parameters: Any = resolve(tree, scale=scale, variant=variant, settings=settings or ())
    limits = parameters.download_images
    least = limits.min_success_rate if min_same is None else min_same
    if not 0 <= least <= 1:
        raise ParameterError(f"--min-same {least}: must be at least 0 and at most 1")
    if show:
        typer.echo(json.dumps(limits.model_dump(mode="json"), indent=1))
        return
    run = Run(stage=BY_NAME["pack_shards"], scale=scale, variant=variant, parameters=parameters)
    summary = fetch_again(
        manifest, limits, output=to, embedded_world=lambda: open_origin(run.folder("scenes"))
    )
    rows = [["", "images", "share"]]
    for name, number in (
        ("same", summary.same),
        ("changed", summary.changed),
        *((f"gone: {reason}", number) for reason, number in summary.gone.items()),
        ("all", summary.rows),
    ):
        rows.append([name, count(number), f"{number / summary.rows:.1%}"])
    typer.echo("\n".join(table(rows)))
    if summary.encoded_otherwise:
        typer.echo(
            f"{count(summary.encoded_otherwise)} of the same were shrunk to other bytes than the "
            "published ones: other libraries, or another download_images.resize"
        )
    if summary.share_same < least:
        typer.echo(f"{summary.share_same:.1%} are the same, fewer than {least:.1%}", err=True)
        raise typer.Exit(1)
