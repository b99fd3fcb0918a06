"""Chapter: what ran, as the receipts tell it."""

from franca.report import numbers
from franca.report.blocks import Block, Missing, Prose, Section
from franca.report.figures import Figures
from franca.report.plots.pipeline import Node, draw_pipeline
from franca.report.receipts import Receipt, Run


def build_pipeline(run: Run, figures: Figures) -> Section:
    """Build the chapter from the receipts of every stage that has run."""
    title, slug = "Pipeline", "pipeline"
    if not run.receipts:
        text = "No stage left a receipt, so nothing can be said of what ran."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    model_half = _descendants(run, "pretrain")
    nodes = [
        Node(
            name=receipt.stage,
            note=_describe(receipt),
            needs=run.needs(receipt.stage),
            group=int(receipt.stage in model_half),
        )
        for receipt in run.receipts.values()
    ]
    plot = figures.save(
        draw_pipeline(nodes),
        name="pipeline",
        alt=f"Graph of the {len(nodes)} stages that ran, each joined to the stages it read.",
        caption=(
            "The stages that ran, in order. Each is joined on its left to the stages whose output "
            "it read, as its receipt records them."
        ),
    )
    blocks: list[Block] = [plot, *_warn_of_stale(run)]
    return Section(slug=slug, title=title, blocks=tuple(blocks))


def _descendants(run: Run, root: str) -> set[str]:
    """Return the stage and every stage that read it, directly or not."""
    found = {root}
    for receipt in run.receipts.values():
        if found & set(run.needs(receipt.stage)):
            found.add(receipt.stage)
    return found


def _describe(receipt: Receipt) -> str:
    noun = "file" if receipt.num_files == 1 else "files"
    return f"{numbers.count(receipt.num_files)} {noun}, {numbers.size(receipt.num_bytes)}"


def _warn_of_stale(run: Run) -> list[Block]:
    stale = run.stale()
    if not stale:
        text = "Every stage read the very bytes that its inputs now hold: all receipts agree."
        return [Prose(text=text)]
    pairs = ", ".join(f"`{stage}` read another `{name}`" for stage, name in stale)
    return [Missing(text=f"Receipts disagree: {pairs}. Rerun these stages before quoting numbers.")]
