"""Remove duplicates, and every training image that an evaluation set already holds.

Written:

    deduplicate/
        group-000/
            signatures/shard-000000.parquet …  of what filter_images kept (`records.SIGNATURE`)
            embeddings/shard-000000.npy …      of the same images, if `semantic` asks for them
        evaluation_index.parquet               signatures of every evaluation image
        evaluation_index.npy                   their embeddings
        verdicts/group-000.parquet …           kept, or dropped for the sake of which image
        funnel.json                            the accounts
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_filters.config import Deduplicate, EvaluationSet
from data_filters.config_models import Semantic
from data_filters.dedup.decision import DUPLICATE, GROUNDS, KEPT, LEAK, Decision
from data_filters.dedup.describe import Embeddings, build_describer, stacked
from data_filters.dedup.digests import Digests
from data_filters.dedup.evaluation import evaluation_images
from data_filters.dedup.gathering import Images, read_images
from data_filters.dedup.leakage import MEANING, Evaluation, Signatures, find_leaks
from data_filters.dedup.levels import group_copies
from data_filters.dedup.neighbours import Search, close_pairs
from data_filters.dedup.selection import Dropped, Quality
from data_filters.dedup.semdedup import semdedup
from data_filters.io.files import write_array
from data_filters.io.parquet import ROWS_PER_GROUP, ParquetWriter, part_files, write_rows
from data_filters.io.pixels import UnreadableImageError
from data_filters.io.processes import run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, write_accounts
from data_filters.records import EVALUATION_SIGNATURE, SIGNATURE, VERDICT

STAGE: Final = "deduplicate"
SEMANTIC: Final = f"{STAGE}.semantic"

Indices = npt.NDArray[np.int64]


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
    del seed, group, work, evaluation_sets  # a signature depends on the image alone
    raw = part_files(inputs["download_images"] / "raw")
    verdicts = inputs["filter_images"] / "verdicts"
    job = partial(_describe_shard, cfg=cfg.semantic, verdicts=verdicts, output=output)
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
    del work  # a killed run starts again
    images = read_images(
        parts,
        downloads=inputs["download_images"],
        judged=inputs["filter_images"],
        embedded=cfg.semantic is not None,
    )
    evaluation = _index(cfg, evaluation_sets, scenes=inputs["scenes"], output=output)
    decision = _decide(cfg, images, evaluation, seed=seed)
    tally = _write_verdicts(images, decision, evaluation.places, output)
    if tally.kept == 0:
        raise ValueError(
            f"{STAGE}: nothing is left of {tally.total} images; see evaluation_index.parquet and "
            f"{STAGE}.evaluation_splits"
        )
    write_accounts(output, tally.entries())
    return {
        "images": tally.total,
        "kept": tally.kept,
        "evaluation_images": len(evaluation.places),
        "leaks": sum(entry.dropped for entry in tally.entries() if entry.filter == LEAK),
    }


def _describe_shard(table: Path, *, cfg: Semantic | None, verdicts: Path, output: Path) -> int:
    """Sign, and embed if asked for, the images of one raw shard that filter_images kept."""
    kept = pq.read_table(verdicts / table.name, columns=["row_id", "kept"])
    only = set(kept.filter(pc.field("kept"))["row_id"].to_pylist())
    describer = build_describer(cfg, key=SEMANTIC)
    rows = [
        {"row_id": row_id, **describer.add(data, sha256=sha256)._asdict()}
        for row_id, sha256, data in images(table, only=only)
    ]
    write_rows(output / "signatures" / table.name, SIGNATURE, rows)
    if cfg is not None:
        write_array(output / "embeddings" / f"{table.stem}.npy", describer.embeddings())
    return len(rows)


def _index(
    cfg: Deduplicate, sets: Mapping[str, EvaluationSet], *, scenes: Path, output: Path
) -> Evaluation:
    """Describe and write down the images of all evaluation sets; several may share a root."""
    distinct = {(each.root, each.format): (name, each) for name, each in sorted(sets.items())}
    index = partial(_index_set, cfg=cfg, scenes=scenes)
    found = list(run_jobs(index, sorted(distinct.values()), label="evaluation sets"))
    file = output / "evaluation_index.parquet"
    write_rows(file, EVALUATION_SIGNATURE, [row for rows, _ in found for row in rows])
    table = pq.read_table(file)
    embeddings = None
    if cfg.semantic is not None:
        embeddings = stacked([each for _, each in found])
        write_array(output / "evaluation_index.npy", embeddings)
    return Evaluation.of(table, embeddings, mirrored=cfg.evaluation_mirrored)


def _index_set(
    item: tuple[str, EvaluationSet], *, cfg: Deduplicate, scenes: Path
) -> tuple[list[dict[str, Any]], Embeddings]:
    """Describe every image of one evaluation set.

    Raises:
        ValueError: One of them cannot be decoded, so nothing could be compared with it.
    """
    name, declared = item
    describer, rows = build_describer(cfg.semantic, key=SEMANTIC), []
    for image in evaluation_images(name, declared, scenes=scenes, splits=cfg.evaluation_splits):
        try:
            signature = describer.add(image.data)
        except UnreadableImageError as error:
            raise ValueError(
                f"evaluation_sets.{name}: {image.place} is {error}; restore the file, or the set "
                "cannot be kept out of the training data"
            ) from error
        row = {"set": name, "place": image.place, **signature._asdict()}
        rows.append({**row, "cropped": describer.crops(cfg.evaluation_crops)})
    return rows, describer.embeddings()


def _decide(cfg: Deduplicate, images: Images, evaluation: Evaluation, *, seed: int) -> Decision:
    """Judge all images at once: duplicates, then leaks with their whole groups."""
    signatures, row_ids = images.signatures, images.row_ids
    levels = group_copies(
        signatures,
        radius=cfg.near_duplicate_radius,
        min_contrast=cfg.min_contrast,
        mirrored=cfg.mirrored,
        similar=_similar(cfg.semantic, signatures, row_ids, seed=seed),
    )
    decision = Decision.keep_all(len(row_ids))
    quality = Quality(images.area, images.size, signatures.sha256, row_ids)
    decision.drop_copies(levels, quality.ranks())
    _thin_out(cfg.semantic, signatures, row_ids, decision, seed=seed)
    leaks = find_leaks(
        signatures,
        evaluation,
        radius=cfg.evaluation_radius,
        min_contrast=cfg.min_contrast,
        min_cosine=None if cfg.semantic is None else cfg.semantic.evaluation_min_cosine,
    )
    *_, loosest = levels.values()
    decision.drop_leaks(leaks, loosest)
    return decision


def _similar(
    cfg: Semantic | None, signatures: Signatures, row_ids: Digests, *, seed: int
) -> tuple[Indices, Indices] | None:
    """Return the pairs of images with close embeddings, if components are asked for."""
    if cfg is None or cfg.selection.kind != "components":
        return None
    assert signatures.embeddings is not None
    order = np.lexsort((row_ids, signatures.sha256))  # by content, whatever shards they lie in
    how = Search(cfg.selection.neighbours, cfg.selection.lists, cfg.selection.probes, seed)
    ordered = signatures.embeddings[order]
    left, right = close_pairs(ordered, min_cosine=cfg.min_cosine, search=how)
    return order[left], order[right]


def _thin_out(
    cfg: Semantic | None,
    signatures: Signatures,
    row_ids: Digests,
    decision: Decision,
    *,
    seed: int,
) -> None:
    """Apply SemDeDup to what is left, if it is asked for."""
    if cfg is None or cfg.selection.kind != "semdedup":
        return
    assert signatures.embeddings is not None
    left = decision.left()
    order = left[np.lexsort((row_ids[left], signatures.sha256[left]))]
    dropped = semdedup(
        signatures.embeddings[order],
        clusters=cfg.selection.clusters,
        min_cosine=cfg.min_cosine,
        seed=seed,
    )
    decision.drop(Dropped(order[dropped.images], order[dropped.kept]), MEANING)


def _write_verdicts(images: Images, decision: Decision, places: pa.Array, output: Path) -> Tally:
    stop = 0
    for group, size in images.groups.items():
        start, stop = stop, stop + size
        with ParquetWriter(output / "verdicts" / f"{group}.parquet", VERDICT) as writer:
            for first in range(start, stop, ROWS_PER_GROUP):
                rows = slice(first, min(first + ROWS_PER_GROUP, stop))
                writer.write(decision.verdicts(rows, images.row_ids, places))
    tally = Tally(STAGE, [LEAK, DUPLICATE])
    for number, count in zip(*np.unique(decision.grounds, return_counts=True), strict=True):
        name, reason = (None, None) if number == KEPT else GROUNDS[number]
        tally.add(name, reason, int(count))
    return tally
