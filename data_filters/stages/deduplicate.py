"""Remove duplicates, and every training image that an evaluation set already holds.

Written:

    deduplicate/
        group-000/
            signatures/shard-000000.parquet …  of what filter_images kept (`records.SIGNATURE`)
        evaluation_index.parquet               signatures of every evaluation image
        verdicts/group-000.parquet …           kept, or dropped for the sake of which image
        funnel.json                            the accounts
"""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_filters.config import Deduplicate, EvaluationSet
from data_filters.dedup.clusters import components, edges_of_equal
from data_filters.dedup.evaluation import Splits, evaluation_images
from data_filters.dedup.hamming import pairs_within
from data_filters.dedup.leakage import REASONS, Leaks, Signatures, find_leaks
from data_filters.dedup.selection import Quality, select
from data_filters.dedup.signatures import sign
from data_filters.io.parquet import ParquetWriter, part_files, write_rows
from data_filters.io.pixels import UnreadableImageError
from data_filters.io.processes import run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, write_accounts
from data_filters.records import EVALUATION_SIGNATURE, SIGNATURE, VERDICT

STAGE: Final = "deduplicate"
LEAK, DUPLICATE = "evaluation_sets", "duplicates"
LINKED: Final = "copy_of_leak"
"""Reason of an image that matches no evaluation image itself, but a training image that does."""

Indices = npt.NDArray[np.int64]
_LOG = logging.getLogger(__name__)


class Decision(NamedTuple):
    """Verdicts on all images, one entry each; empty strings where an image is kept."""

    filter: npt.NDArray[np.object_]
    reason: npt.NDArray[np.object_]
    detail: npt.NDArray[np.object_]


def run(
    cfg: Deduplicate,
    *,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    group: str,
    evaluation_sets: Mapping[str, EvaluationSet],
) -> dict[str, Any]:
    """Sign the images of one group; see the module's docstring for the layout."""
    del cfg, seed, group, work, evaluation_sets  # a signature depends on the image alone
    raw = part_files(inputs["download_images"] / "raw")
    folder = output / "signatures"
    job = partial(_sign_shard, verdicts=inputs["filter_images"] / "verdicts", folder=folder)
    return {"images": sum(run_jobs(job, raw, label="signatures"))}


def gather(
    cfg: Deduplicate,
    *,
    seed: int,
    parts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    evaluation_sets: Mapping[str, EvaluationSet],
) -> dict[str, Any]:
    """Compare the signatures of all groups, and write verdicts.

    Raises:
        FileNotFoundError: An evaluation set is not where the parameters say.
        ValueError: An evaluation set cannot be indexed; nothing is published without it.
    """
    del seed, work  # nothing is drawn, and a killed run starts again
    index = partial(_index_set, scenes=inputs["scenes"], splits=cfg.evaluation_splits)
    sets = list(run_jobs(index, sorted(evaluation_sets.items()), label="evaluation sets"))
    write_rows(
        output / "evaluation_index.parquet",
        EVALUATION_SIGNATURE,
        [row for rows in sets for row in rows],
    )
    training = _read(parts, inputs)
    evaluation = pq.read_table(output / "evaluation_index.parquet")
    decision = _decide(cfg, training, evaluation)
    tally = _write_verdicts(training, decision, list(parts), output)
    if tally.kept == 0:
        raise ValueError(
            f"{STAGE}: nothing is left of {tally.total} images; see evaluation_index.parquet and "
            f"{STAGE}.evaluation_splits"
        )
    write_accounts(output, tally.entries())
    return {
        "images": tally.total,
        "kept": tally.kept,
        "evaluation_images": evaluation.num_rows,
        "leaks": int((decision.filter == LEAK).sum()),
    }


def _sign_shard(table: Path, *, verdicts: Path, folder: Path) -> int:
    kept = pq.read_table(verdicts / table.name, columns=["row_id", "kept"])
    only = set(kept.filter(pc.field("kept"))["row_id"].to_pylist())
    rows = [
        {"row_id": row_id, **sign(data, sha256=sha256)._asdict()}
        for row_id, sha256, data in images(table, only=only)
    ]
    write_rows(folder / table.name, SIGNATURE, rows)
    return len(rows)


def _index_set(
    item: tuple[str, EvaluationSet], *, scenes: Path, splits: Splits
) -> list[dict[str, Any]]:
    """Sign every image of one evaluation set.

    Raises:
        ValueError: One of them cannot be decoded, so nothing could be compared with it.
    """
    name, declared = item
    rows = []
    for image in evaluation_images(name, declared, scenes=scenes, splits=splits):
        try:
            rows.append({"set": name, "place": image.place, **sign(image.data)._asdict()})
        except UnreadableImageError as error:
            raise ValueError(
                f"evaluation_sets.{name}: {image.place} is {error}; restore the file, or the set "
                "cannot be kept out of the training data"
            ) from error
    return rows


def _read(parts: Mapping[str, Path], inputs: Mapping[str, Path]) -> pa.Table:
    """Join signatures with what images are ranked by; in the order of groups, shards and rows."""
    tables = []
    files = [(name, file) for name, p in parts.items() for file in part_files(p / "signatures")]
    for group, file in files:
        signatures = pq.read_table(file)
        raw = inputs["download_images"] / group / "raw" / file.name
        sizes = pq.read_table(raw, columns=["row_id", "size"])
        judged = inputs["filter_images"] / group / "verdicts" / file.name
        shapes = pq.read_table(judged, columns=["row_id", "width", "height"])
        joined = signatures.join(sizes, "row_id").join(shapes, "row_id").sort_by("row_id")
        names = pa.array([group] * joined.num_rows, pa.string())
        tables.append(joined.append_column("group", names))
    return pa.concat_tables(tables).combine_chunks()


def _signatures(table: pa.Table) -> Signatures:
    return Signatures(
        sha256=np.asarray(table["sha256"].to_pylist(), dtype=np.str_),
        pixels=np.asarray(table["pixels"].to_pylist(), dtype=np.str_),
        perceptual=table["perceptual"].to_numpy(),
        contrast=table["contrast"].to_numpy(),
    )


def _decide(cfg: Deduplicate, table: pa.Table, evaluation: pa.Table) -> Decision:
    """Judge all images at once: leaks with their whole groups first, then duplicates."""
    signatures = _signatures(table)
    levels = _levels(cfg, signatures)
    leaks = find_leaks(
        signatures,
        _signatures(evaluation),
        radius=cfg.evaluation_radius,
        min_contrast=cfg.min_contrast,
    )
    row_ids = np.asarray(table["row_id"].to_pylist(), dtype=np.str_)
    area = table["width"].to_numpy().astype(np.int64) * table["height"].to_numpy()
    quality = Quality(area, table["size"].to_numpy(), signatures.sha256, row_ids)
    decision = Decision(*(np.full(len(row_ids), None, np.object_) for _ in range(3)))
    for reason, dropped in zip(REASONS, select(levels, quality.ranks()), strict=False):
        _set(decision, dropped.images, DUPLICATE, reason, row_ids[dropped.kept])
    _drop_leaks(decision, leaks, levels[-1], evaluation, row_ids)
    return decision


def _levels(cfg: Deduplicate, signatures: Signatures) -> list[Indices]:
    """Group by bytes, then also by pixels, then also by looks."""
    size = len(signatures.sha256)
    edges = [edges_of_equal(signatures.sha256)]
    levels = [components(size, edges)]
    edges.append(edges_of_equal(signatures.pixels))
    levels.append(components(size, edges))
    if cfg.near_duplicate_radius is not None:
        worth = np.flatnonzero(signatures.contrast >= cfg.min_contrast)
        hashes, first, inverse = np.unique(
            signatures.perceptual[worth], return_index=True, return_inverse=True
        )
        left, right = pairs_within(hashes, radius=cfg.near_duplicate_radius)
        edges += [(worth[first[inverse]], worth), (worth[first[left]], worth[first[right]])]
        levels.append(components(size, edges))
    return levels


def _drop_leaks(
    decision: Decision,
    leaks: Leaks,
    groups: Indices,
    evaluation: pa.Table,
    row_ids: npt.NDArray[np.str_],
) -> None:
    """Drop the whole group of every leak: its other members look like it, hence like the leak."""
    leaked = np.full(len(groups), len(groups), np.int64)
    np.minimum.at(leaked, groups[leaks.images], leaks.images)
    linked = np.flatnonzero(leaked[groups] < len(groups))
    _set(decision, linked, LEAK, LINKED, row_ids[leaked[groups[linked]]])
    names, places = evaluation["set"].to_pylist(), evaluation["place"].to_pylist()
    for image, reason, match in zip(*leaks, strict=True):
        where = f"{names[match]}: {places[match]}"
        decision.filter[image], decision.reason[image] = LEAK, REASONS[reason]
        decision.detail[image] = where


def _set(
    decision: Decision,
    members: Indices,
    name: str,
    reason: str,
    details: npt.NDArray[np.str_],
) -> None:
    decision.filter[members], decision.reason[members] = name, reason
    decision.detail[members] = details


def _write_verdicts(table: pa.Table, decision: Decision, groups: list[str], output: Path) -> Tally:
    tally = Tally(STAGE, [LEAK, DUPLICATE])
    verdicts = pa.table(
        {
            "row_id": table["row_id"],
            "kept": pa.array([name is None for name in decision.filter], pa.bool_()),
            "filter": pa.array(decision.filter, pa.string()),
            "reason": pa.array(decision.reason, pa.string()),
            "detail": pa.array(decision.detail, pa.string()),
        }
    )
    for name, reason in zip(decision.filter, decision.reason, strict=True):
        tally.add(name, reason)
    for group in groups:
        rows = verdicts.filter(pc.equal(table["group"], group))
        with ParquetWriter(output / "verdicts" / f"{group}.parquet", VERDICT) as writer:
            writer.write(rows)
    return tally
