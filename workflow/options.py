"""Options that several commands of `franca` have: which parameters, and whether to run at all."""

from pathlib import Path
from typing import Annotated

import typer

Scale = Annotated[str | None, typer.Option(help="Scale; default: the one in params.yaml.")]
Variant = Annotated[str | None, typer.Option(help="Variant; default: the one in params.yaml.")]
Params = Annotated[Path, typer.Option(help="Another parameter file.", metavar="FILE")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a parameter; may be repeated.", metavar="KEY.PATH=VALUE"),
]
Show = Annotated[bool, typer.Option("--show", help="Show what would run, and stop.")]
