"""Judge every image by its pixels; keep, or drop with a reason.

Written:

    filter_images/
        group-000/
            verdicts/shard-000000.parquet …  a row per image that arrived (`records.IMAGE_VERDICT`)
            funnel.json                      the accounts of the group
        funnel.json                          the accounts, filter by filter
"""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from data_filters.base import first_objection
from data_filters.config import FilterImages
from data_filters.images.build import build_filters
from data_filters.images.candidate import Candidate
from data_filters.io.parquet import part_files, write_rows
from data_filters.io.processes import run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, merge, read_accounts, write_accounts
from data_filters.records import IMAGE_VERDICT

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

    Raises:
        ValueError: More images are unreadable than `max_unreadable_rate` allows.
    """
    del seed, group, work  # a verdict depends on the image alone, and is quickly made again
    shards = part_files(inputs["download_images"] / "raw")
    names = [each.name for each in build_filters(cfg)]
    tally, seconds = Tally(STAGE, names), dict.fromkeys(names, 0.0)
    judge = partial(_judge_shard, cfg=cfg, folder=output / "verdicts")
    for verdicts, spent in run_jobs(judge, shards, label="filter images"):
        for name, reason in verdicts:
            tally.add(name, reason)
        for name, time in spent.items():
            seconds[name] += time
    _LOG.info("seconds by filter: %s", {name: round(time, 2) for name, time in seconds.items()})
    _check(tally, max_unreadable_rate=cfg.max_unreadable_rate)
    write_accounts(output, tally.entries())
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
    del cfg, seed, inputs, work  # the groups say all
    entries = merge(read_accounts(folder) for folder in parts.values())
    total, kept = entries[0].entered, entries[-1].kept
    if kept == 0:
        worst = max(entries, key=lambda entry: entry.dropped).filter
        raise ValueError(
            f"{STAGE}: none of {total} images passes; most are dropped by {worst}: loosen {STAGE}"
        )
    write_accounts(output, entries)
    return {"images": total, "kept": kept}


def _judge_shard(
    table: Path, *, cfg: FilterImages, folder: Path
) -> tuple[list[tuple[str | None, str | None]], dict[str, float]]:
    """Judge one raw shard, write its verdicts, and return them with the seconds per filter."""
    filters = build_filters(cfg)
    rows: list[dict[str, Any]] = []
    for row_id, _, data in images(table):
        candidate = Candidate(data)
        name, verdict = first_objection(filters, candidate)
        height, width = candidate.pixels.shape[:2] if verdict.kept else (None, None)
        rows.append(
            {
                "row_id": row_id,
                "kept": verdict.kept,
                "filter": name,
                "reason": verdict.reason,
                "detail": verdict.detail,
                "width": width,
                "height": height,
            }
        )
    write_rows(folder / table.name, IMAGE_VERDICT, rows)
    verdicts = [(row["filter"], row["reason"]) for row in rows]
    return verdicts, {each.name: each.seconds for each in filters}


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
