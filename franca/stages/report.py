"""Stage report: one page about everything upstream, for people to read.

index.html    self-contained: styles, drawings and pictures inside, nothing is fetched
report.md     the same in Markdown
figures/      what both show, as PNG
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from franca.config.augment import Augment
from franca.config.pretrain import Masking
from franca.config.report import Report
from franca.data.augment import build_augmentation
from franca.masking.batch import Masker
from franca.masking.block import BlockMask
from franca.masking.cyclic import CyclicMask
from franca.models.archs import ARCHS
from franca.report.blocks import Page, Section
from franca.report.features import read_samples
from franca.report.figures import Figures
from franca.report.funnel import Effects, Step, read_effects, read_funnel
from franca.report.numbers import count
from franca.report.page import write_page
from franca.report.receipts import Run, read_run
from franca.report.results import HIGHRES, RANDOM, RASA, Results, read_results
from franca.report.sections.benchmarks import build_benchmarks
from franca.report.sections.data import build_data
from franca.report.sections.features import build_features
from franca.report.sections.headline import build_headline
from franca.report.sections.pipeline import build_pipeline
from franca.report.sections.position import build_position, read_diagnostics
from franca.report.sections.provenance import build_provenance
from franca.report.sections.training import TRAINING, build_training
from franca.report.sections.truncation import build_truncation
from franca.report.sections.views import ViewSettings, build_views
from franca.report.shards import read_dropped, read_kept, read_lost
from franca.report.training_log import read_log

log = logging.getLogger(__name__)


def run(
    cfg: Report,
    *,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,  # noqa: ARG001  written in one go, there is nothing to resume
) -> dict[str, Any]:
    """Write the report.

    Args:
        cfg: The section `report` of the parameters.
        seed: Decides which crops and masks are drawn.
        inputs: Published folders of every upstream stage.
        output: Empty folder to write to.
        work: Unused.

    Returns:
        Number of sections, figures and bytes.
    """
    ran = read_run(inputs)
    results = read_results(inputs["evaluate"], main_metrics=cfg.main_metrics)
    funnel = read_funnel(inputs["pack_shards"])
    figures = Figures(output / "figures", dpi=cfg.dpi)
    sections = (
        build_headline(results),
        build_pipeline(ran, figures),
        _data(cfg, funnel, inputs, figures),
        build_views(
            read_kept(inputs["pack_shards"], count=cfg.max_sample_images),
            _view_settings(ran.section("pretrain")),
            seed=seed,
        ),
        build_training({stage: read_log(inputs[stage]) for stage in TRAINING}, figures),
        build_benchmarks(results, figures),
        build_truncation(_truncated(results), figures),
        *_features(cfg, inputs, figures),
        build_provenance(ran),
    )
    page = Page(
        title="Franca, from public data to benchmarks",
        subtitle=f"The run of scale `{ran.scale}`, variant `{ran.variant}`",
        abstract=_abstract(ran, funnel, results),
        facts=_facts(ran, funnel, results),
        sections=sections,
    )
    write_page(page, output=output, figures=figures)
    size = (output / "index.html").stat().st_size
    log.info("report: %d sections, %d bytes", len(sections), size)
    num_figures = sum(1 for _ in (output / "figures").iterdir())
    return {"sections": len(sections), "figures": num_figures, "page_bytes": size}


def _data(
    cfg: Report, funnel: Sequence[Step], inputs: Mapping[str, Path], figures: Figures
) -> Section:
    packed, downloaded = inputs["pack_shards"], inputs["download_images"]
    return build_data(
        funnel,
        read_kept(packed, count=cfg.max_gallery_images),
        read_dropped(packed, downloaded, funnel, count=cfg.max_dropped_images),
        figures,
        lost=read_lost(packed, funnel, count=cfg.max_dropped_rows),
        effects=_effects(inputs),
        side=cfg.thumbnail_side,
    )


def _view_settings(pretrain: Mapping[str, Any]) -> ViewSettings | None:
    """Read how training looks at an image from the parameters in pretrain's receipt."""
    if not pretrain:
        return None
    augment = Augment.model_validate(pretrain["augment"])
    masking = Masking.model_validate(pretrain["masking"])
    side = augment.global_crops.size // ARCHS[pretrain["model"]["arch"]].patch_size
    masker: Masker = CyclicMask(
        grid=(side, side), min_aspect=masking.min_aspect, roll=masking.kind == "cyclic"
    )
    if masking.kind == "block":
        masker = BlockMask(grid=(side, side), min_aspect=masking.min_aspect)
    return ViewSettings(
        augmentation=build_augmentation(augment),
        masker=masker,
        num_patches=side * side,
        ratio=masking.ratio,
    )


def _features(cfg: Report, inputs: Mapping[str, Path], figures: Figures) -> tuple[Section, Section]:
    samples = {
        name: found
        for name in (RANDOM, HIGHRES, RASA)
        if (found := read_samples(inputs["evaluate"] / name, limit=cfg.max_sample_images))
    }
    return (
        build_features(samples, side=cfg.thumbnail_side),
        build_position(read_diagnostics(inputs["rasa"]), samples, figures),
    )


def _truncated(results: Results) -> dict[str, tuple[Results, str]]:
    names = {"random init": RANDOM, "pretrained": results.trained(), "high-res": HIGHRES}
    present = results.checkpoints()
    return {title: (results, name) for title, name in names.items() if name in present and name}


def _abstract(ran: Run, funnel: Sequence[Step], results: Results) -> str:
    data = f"{count(funnel[-1].kept)} images" if funnel else "images"
    return (
        f"What happened when {len(ran.receipts)} stages ran at this scale: {data} were prepared, a "
        "vision transformer learned from them without labels, and its frozen features were "
        f"measured by {len(results.main_measures())} benchmarks at "
        f"{len(results.checkpoints())} checkpoints. Every number below was measured in this run."
    )


def _facts(ran: Run, funnel: Sequence[Step], results: Results) -> tuple[tuple[str, str], ...]:
    pretrain = ran.section("pretrain")
    facts = []
    if pretrain:
        facts.append(("Backbone", str(pretrain["model"]["arch"])))
        facts.append(("Pretraining", f"{count(pretrain['steps'])} steps"))
        facts.append(("Images a step", count(pretrain["global_batch_size"])))
    if funnel:
        facts.append(("Training images", count(funnel[-1].kept)))
    facts.append(("Checkpoints", count(len(results.checkpoints()))))
    return tuple(facts)


def _effects(inputs: Mapping[str, Path]) -> dict[str, Effects]:
    """What filters do beside each other, by what they judge."""
    found = {
        "rows": read_effects(inputs["filter_metadata"]),
        "images": read_effects(inputs["filter_images"]),
    }
    return {judged: effects for judged, effects in found.items() if effects is not None}
