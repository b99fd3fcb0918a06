"""Chapter: resolved parameters and receipts, for whoever wants to check or repeat."""

import json

from franca.report import numbers
from franca.report.blocks import Block, Cell, Column, Fold, Listing, Missing, Prose, Section, Table
from franca.report.receipts import Run


def build_provenance(run: Run) -> Section:
    """Build the chapter from the receipts."""
    title, slug = "Provenance", "provenance"
    if not run.receipts:
        text = "No stage left a receipt: neither parameters nor hashes are known."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    parameters = [
        Fold(
            title=f"Parameters of {receipt.stage}",
            blocks=(Listing(text=json.dumps(receipt.parameters, indent=2, ensure_ascii=False)),),
        )
        for receipt in run.receipts.values()
    ]
    intro = Prose(
        text=(
            "Everything above follows from the parameters below. A receipt lists each file that a "
            "stage published with its sha256, and the receipts it read; its own digest therefore "
            "stands for the whole history of the stage."
        )
    )
    blocks: list[Block] = [
        intro,
        Fold(title="Receipts", blocks=(_receipts(run),)),
        Fold(title="What each stage reported", blocks=(_summaries(run),)),
        *parameters,
    ]
    return Section(slug=slug, title=title, blocks=tuple(blocks))


def _receipts(run: Run) -> Table:
    return Table(
        caption="sha256 of each stage's receipt.",
        columns=(
            Column(title="Stage"),
            Column(title="Files", numeric=True),
            Column(title="Size", numeric=True),
            Column(title="Receipt"),
        ),
        rows=tuple(
            (
                Cell(text=receipt.stage),
                Cell(text=numbers.count(receipt.num_files)),
                Cell(text=numbers.size(receipt.num_bytes)),
                Cell(text=f"`{receipt.digest}`"),
            )
            for receipt in run.receipts.values()
        ),
    )


def _summaries(run: Run) -> Table:
    rows = [
        (Cell(text=receipt.stage), Cell(text=name), Cell(text=_plain(value)))
        for receipt in run.receipts.values()
        for name, value in receipt.summary.items()
    ]
    return Table(
        caption="What each stage said of itself when it finished.",
        columns=(Column(title="Stage"), Column(title="Quantity"), Column(title="Value")),
        rows=tuple(rows),
    )


def _plain(value: object) -> str:
    return numbers.count(value) if type(value) is int else json.dumps(value, ensure_ascii=False)
