"""`franca data`: what data there is to train on, copies of it, and selections fetched again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from data_filters.catalogue import CATALOGUE, Entry, lookup
from workflow.execute import Run
from workflow.options import Params, Scale, Settings, Show
from workflow.params import DEFAULT_FILE, ParameterError, load
from workflow.plan.text import count, note, scaled, table
from workflow.stages import BY_NAME

app = typer.Typer(
    help="Data sets to train on: which there are, how to get them, and how a published selection "
    "is fetched again.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

Name = Annotated[
    str,
    typer.Argument(
        help="A name that `franca data sources` lists, or a folder: its path, or a URL that fsspec "
        "reads (s3://…, hf://datasets/…), such as that of an evaluation set."
    ),
]
To = Annotated[Path, typer.Option(help="Folder of the copy.", metavar="FOLDER")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be fetched, and stop.")]
Manifest = Annotated[
    Path, typer.Option(help="manifest.parquet of a published pack_shards.", metavar="FILE")
]
New = Annotated[Path, typer.Option(help="A new folder, or that of a killed run.", metavar="FOLDER")]
MinSame = Annotated[
    float | None,
    typer.Option(
        help="Exit with 1 where a smaller share is still the same; default: "
        "download_images.min_success_rate.",
        metavar="SHARE",
    ),
]


@app.command()
def sources(
    name: Annotated[str | None, typer.Argument(help="Tell all about one of them.")] = None,
) -> None:
    """List the published data sets that the pipeline knows by name.

    Any of them is a source in params.yaml, under fetch_metadata or pack_highres:

        source: {kind: catalogue, name: voc2012, root: data/VOCdevkit/VOC2012}

    Your own data needs no entry: see docs/data.md for folders, tars, parquet, tables of URLs and
    whatever `datasets.load_dataset` opens.
    """
    typer.echo("\n".join(_describe(name, lookup(name)) if name else _overview()))


@app.command()
def fetch(name: Name, to: To, dry_run: DryRun = False) -> None:
    """Copy what a data set's publisher offers, tables or archives to unpack; or a whole folder.

    A copy that broke off goes on where it was, with the same command. Sizes and hashes are
    checked where they are published. What is in the folder already is never replaced or deleted.
    Credentials come from the environment: HF_TOKEN for the Hugging Face Hub, and what fsspec's
    file systems read.
    """
    from data_filters.sources.mirror import list_folder, list_remote, mirror  # fsspec is slow

    is_folder = "/" in name or (name not in CATALOGUE and Path(name).is_dir())
    entry = None if is_folder else lookup(name)
    if entry is None:
        files = list_folder(name, key=name, holds="a folder of files")
    else:
        files = list_remote(entry, key=name)
    if dry_run:
        rows = [["file", "size", "hash"]]
        rows += [
            [file.url, scaled(file.bytes, "B") if file.bytes else "?", file.hash or "none"]
            for file in files
        ]
        typer.echo("\n".join(table(rows)))
        return
    fetched = mirror(files, to, key=name)
    typer.echo(f"{to}: {len(files)} files, {fetched} of them fetched now")
    for archive in entry.archives if entry else ():
        typer.echo(f"unpack it with `cd {to} && {archive.unpack}`")


@app.command()
def rebuild(
    manifest: Manifest,
    to: New,
    min_same: MinSame = None,
    scale: Scale = None,
    params: Params = DEFAULT_FILE,
    settings: Settings = None,
    show: Show = False,
) -> None:
    """Fetch a published selection again: its shards, and what the web has lost of it.

    Images are fetched and resized as section download_images of the scale says, so take the scale
    and the settings that the selection was made with. Where every original is still the same, the
    shards are the published ones to the byte; link_rot.parquet says of each image whether it is
    the same, changed (left out) or gone, and why.
    """
    from data_filters.download.origin import open_origin
    from data_filters.rebuild.run import rebuild as fetch_again

    selected = load(params, scale=scale, settings=settings)
    limits = selected.parameters.download_images
    least = limits.min_success_rate if min_same is None else min_same
    if not 0 <= least <= 1:
        raise ParameterError(f"--min-same {least}: must be at least 0 and at most 1")
    if show:
        typer.echo(json.dumps(limits.model_dump(mode="json"), indent=1))
        return
    run = Run(stage=BY_NAME["pack_shards"], **selected._asdict())
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


def _overview() -> list[str]:
    rows = [["name", "kind", "rows", "gated", "public", "licence"]]
    rows += [
        [
            name,
            entry.layout.kind,
            "?" if entry.counts.rows is None else count(entry.counts.rows),
            "yes" if entry.gated else "",
            "archive" if entry.archives else "yes" if entry.public_root else "",
            entry.licence,
        ]
        for name, entry in CATALOGUE.items()
    ]
    return [*table(rows), *note("`franca data sources NAME` tells how to get one of them.")]


def _describe(name: str, entry: Entry) -> list[str]:
    layout = entry.layout
    lines = [f"{name}: {entry.summary}", f"licence: {entry.licence}", f"access: {entry.access}"]
    if entry.public_root:
        lines.append(f"public: {entry.public_root}")
    lines += [f"archive: {archive.url} ({archive.hash})" for archive in entry.archives]
    lines.append(f"kind: {layout.kind}, images or tables in {entry.below or 'the root'}")
    columns = getattr(layout, "columns", None)
    if columns:
        lines.append("columns: " + ", ".join(f"{ours} = {its}" for ours, its in columns.items()))
    expected = [
        f"{count(number)} {what}"
        for what, number in (("files", entry.counts.files), ("rows", entry.counts.rows))
        if number is not None
    ]
    lines.append(f"checked: {' and '.join(expected) or 'no count is known'}")
    root = "" if entry.public_root else ", root: WHERE/YOUR/COPY/IS"
    lines.append(f"in params.yaml: source: {{kind: catalogue, name: {name}{root}}}")
    return lines
