"""`franca data`: what data there is to train on, copies of it, and selections fetched again."""

from pathlib import Path
from typing import Annotated

import typer

from data_filters.catalogue import CATALOGUE, Entry, lookup
from workflow.plan.text import count, note, scaled, table

app = typer.Typer(
    help="Data sets to train on: which there are, how to get them, and how a published selection "
    "is fetched again.",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(help="A name that `franca data sources` lists.")]
To = Annotated[Path, typer.Option(help="Folder of the copy.", metavar="FOLDER")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be fetched, and stop.")]


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
    """Copy what a data set's publisher offers: tables, or archives to unpack.

    A copy that broke off goes on where it was, with the same command. Sizes and hashes are
    checked where they are published. What is in the folder already is never replaced or deleted.
    Credentials come from the environment: HF_TOKEN for the Hugging Face Hub, and what fsspec's
    file systems read.
    """
    from data_filters.sources.mirror import list_remote, mirror  # fsspec is slow to import

    entry = lookup(name)
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
    for archive in entry.archives:
        typer.echo(f"unpack it with `cd {to} && {archive.unpack}`")


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
