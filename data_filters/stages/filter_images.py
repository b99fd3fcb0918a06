"""Judge every image by its pixels; keep, or drop with a reason.

Written:

    filter_images/
        group-000/
            verdicts/shard-000000.parquet …  a row per image that arrived (`records.IMAGE_VERDICT`)
            scores/shard-000000.parquet …    what models gave images (`records.SCORE`), if there are
                                             any; dropped ones too
            funnel.json                      the accounts of the group
            broken.json                      how many images break which rules
        funnel.json                          the accounts, filter by filter
        ablation.json                        what each filter, models included, drops alone, in
                                             sequence and on its own
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from data_filters.ablation import (
    COMBINATIONS,
    Objector,
    read_combinations,
    write_ablation,
    write_combinations,
)
from data_filters.base import Filter
from data_filters.config import FilterImages
from data_filters.images.build import build_filters
from data_filters.images.build_scorers import build_scorers
from data_filters.images.candidate import Candidate
from data_filters.images.judge import Judged, judge_images
from data_filters.images.scorer import REASONS
from data_filters.io.captions import captions_of
from data_filters.io.files import link_or_copy
from data_filters.io.parquet import iterate_rows, part_files, write_rows
from data_filters.io.processes import run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, merge, read_accounts, write_accounts
from data_filters.records import IMAGE_VERDICT, SCORE

STAGE: Final = "filter_images"
UNREADABLE: Final = frozenset({"not_an_image", "truncated", "undecodable"})

_LOG = logging.getLogger(__name__)


def run(
    cfg: FilterImages,
    *,
    seed: int,
    group: str,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Write the verdicts of one group of images; see the module's docstring for the layout.

    A killed run continues with the raw shards that `work` lacks.

    Raises:
        ValueError: More images are unreadable than `max_unreadable_rate` allows.
    """
    del seed, group  # a verdict depends on the image alone
    shards = part_files(inputs["download_images"] / "raw")
    kept = part_files(inputs["filter_metadata"] / "kept")
    judge = partial(_judge_shard, cfg=cfg, kept=kept, folder=work)
    todo = [shard for shard in shards if not _broken_file(work, shard).exists()]
    seconds: Counter[str] = Counter()
    for spent in run_jobs(judge, todo, label="filter images"):
        seconds.update(spent)
    _LOG.info("seconds by filter: %s", {name: round(time, 2) for name, time in seconds.items()})
    tally = Tally(STAGE, _names(build_filters(cfg), cfg))
    combinations: Counter[int] = Counter()
    for shard in shards:
        for kind in ("verdicts", "scores") if cfg.models else ("verdicts",):
            link_or_copy(work / kind / shard.name, output / kind / shard.name)
        for row in iterate_rows([work / "verdicts" / shard.name], ["filter", "reason"]):
            tally.add(row["filter"], row["reason"])
        combinations.update(read_combinations(_broken_file(work, shard)))
    _check(tally, max_unreadable_rate=cfg.max_unreadable_rate)
    write_accounts(output, tally.entries())
    write_combinations(output / COMBINATIONS, combinations)
    return {"images": tally.total, "kept": tally.kept}


def gather(
    cfg: FilterImages,
    *,
    seed: int,
    parts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Add up the accounts of all groups.

    Raises:
        ValueError: No image passes.
    """
    del seed, inputs, work  # the groups say all
    entries = merge(read_accounts(folder) for folder in parts.values())
    total, kept = entries[0].entered, entries[-1].kept
    if kept == 0:
        worst = max(entries, key=lambda entry: entry.dropped).filter
        raise ValueError(
            f"{STAGE}: none of {total} images passes; most are dropped by {worst}: loosen {STAGE}"
        )
    write_accounts(output, entries)
    filters = build_filters(cfg)
    write_ablation(output, parts.values(), _rules(filters, cfg), filters=_names(filters, cfg))
    return {"images": total, "kept": kept}


def _judge_shard(
    table: Path, *, cfg: FilterImages, kept: Sequence[Path], folder: Path
) -> dict[str, float]:
    """Judge one raw shard; return seconds per filter."""
    filters = build_filters(cfg)
    scorers = build_scorers(cfg.models, device=cfg.device, batch_size=cfg.batch_size)
    needed = any(each.scorer.needs_captions for each in scorers)
    judged = list(
        judge_images(
            ((row_id, data) for row_id, _, data in images(table)),
            filters,
            scorers,
            captions=captions_of(table, kept) if needed else {},
            batch_size=cfg.batch_size,
        )
    )
    write_rows(folder / "verdicts" / table.name, IMAGE_VERDICT, map(_row, judged))
    if scorers:
        scores = [score._asdict() for each in judged for score in each.scores]
        write_rows(folder / "scores" / table.name, SCORE, scores)
    bits = {rule: 1 << number for number, rule in enumerate(_rules(filters, cfg))}
    masks = Counter(
        sum(bits[Objector(name, str(each.reason))] for name, each in image.objections)
        for image in judged
    )
    write_combinations(_broken_file(folder, table), masks)  # last: with it, the shard is done
    return {each.name: each.seconds for each in filters}


def _broken_file(folder: Path, table: Path) -> Path:
    return folder / "broken" / f"{table.stem}.json"


def _names(filters: Sequence[Filter[Candidate]], cfg: FilterImages) -> list[str]:
    return [*(each.name for each in filters), *(model.name for model in cfg.models)]


def _rules(filters: Sequence[Filter[Candidate]], cfg: FilterImages) -> list[Objector]:
    pixels = [Objector(each.name, reason) for each in filters for reason in each.reasons]
    return pixels + [Objector(model.name, reason) for model in cfg.models for reason in REASONS]


def _row(judged: Judged) -> dict[str, Any]:
    height, width = judged.size if judged.verdict.kept and judged.size else (None, None)
    return {
        "row_id": judged.row_id,
        "kept": judged.verdict.kept,
        "filter": judged.filter,
        "reason": judged.verdict.reason,
        "detail": judged.verdict.detail,
        "width": width,
        "height": height,
        "pixels": judged.pixels if judged.verdict.kept else None,
    }


def _check(tally: Tally, *, max_unreadable_rate: float) -> None:
    unreadable = sum(
        count
        for entry in tally.entries()
        for reason, count in entry.reasons.items()
        if reason in UNREADABLE
    )
    if unreadable > max_unreadable_rate * tally.total:
        raise ValueError(
            f"{STAGE}: {unreadable} of {tally.total} images cannot be decoded, more than "
            f"max_unreadable_rate {max_unreadable_rate:.1%} allows: look at the reasons in the "
            f"verdicts, mend the source, or raise {STAGE}.max_unreadable_rate"
        )
