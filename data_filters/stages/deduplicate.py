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

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from data_filters.config import Deduplicate, EvaluationSet
from data_filters.config_models import Semantic
from data_filters.dedup.components import EDGES, add_pairs, contract
from data_filters.dedup.copies import join_alike, join_equal, worth_comparing
from data_filters.dedup.decision import (
    DUPLICATE,
    LEAK,
    add_leaks,
    by_content,
    counts,
    drop_copies,
    drop_pairs,
    explain,
    open_tables,
    verdicts,
)
from data_filters.dedup.describe import build_describer
from data_filters.dedup.evaluation import evaluation_images, indexed_splits
from data_filters.dedup.evaluation_index import leak_finder, read_index, write_index
from data_filters.dedup.gathering import Images, gather_images
from data_filters.dedup.leakage import BYTES, LOOKS, MEANING, PIXELS, REASONS
from data_filters.dedup.neighbours import close_pairs
from data_filters.dedup.semdedup import semdedup
from data_filters.dedup.signatures import looks_cropped
from data_filters.dedup.vectors import Embeddings, Vectors, stacked
from data_filters.io.database import connect
from data_filters.io.files import link_or_copy, write_array
from data_filters.io.parquet import num_rows, part_files, write_batches, write_rows
from data_filters.io.pixels import UnreadableImageError, decode, open_image, pixel_digest
from data_filters.io.processes import memory_megabytes, run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, write_accounts
from data_filters.records import SIGNATURE, VERDICT

STAGE: Final = "deduplicate"
SEMANTIC: Final = f"{STAGE}.semantic"
_SHARE_FOR_HASHES: Final = 0.15
"""Of the stage's memory; DuckDB has its own share."""


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
    """Sign the images of one group; see the module's docstring for the layout.

    A killed run continues with the raw shards that `work` lacks.
    """
    del seed, group, evaluation_sets  # a signature depends on the image alone
    raw = part_files(inputs["download_images"] / "raw")
    verdicts = inputs["filter_images"] / "verdicts"
    describe = partial(_describe_shard, cfg=cfg.semantic, verdicts=verdicts, folder=work)
    todo = [table for table in raw if not _signatures_file(work, table).exists()]
    for _ in run_jobs(describe, todo, label="signatures"):
        pass
    num_images = 0
    for table in raw:
        signatures = _signatures_file(work, table)
        num_images += num_rows(signatures)
        link_or_copy(signatures, _signatures_file(output, table))
        if cfg.semantic is not None:
            link_or_copy(_embeddings_file(work, table), _embeddings_file(output, table))
    return {"images": num_images}


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
    images = gather_images(
        parts,
        downloads=inputs["download_images"],
        judged=inputs["filter_images"],
        embedded=cfg.semantic is not None,
        folder=work / "images",
    )
    _index(cfg, evaluation_sets, scenes=inputs["scenes"], output=output)
    evaluation = read_index(output, cfg)
    with connect(work) as connection:
        connection.execute(EDGES)
        open_tables(connection, list(images.files.values()))
        _drop_copies(connection, cfg, images, seed=seed, work=work)
        finder = leak_finder(evaluation, cfg)
        for first, signatures in tqdm(images.signatures(), desc="leaks", unit="stretch"):
            add_leaks(connection, finder.find(signatures), first=first)
        explain(connection, evaluation.places)
        tally = _write_verdicts(connection, images, output)
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


def _describe_shard(table: Path, *, cfg: Semantic | None, verdicts: Path, folder: Path) -> None:
    """Sign, and embed if asked for, the images of one raw shard that filter_images kept."""
    kept = pq.read_table(verdicts / table.name, columns=["row_id", "kept"])
    only = set(kept.filter(pc.field("kept"))["row_id"].to_pylist())
    describer = build_describer(cfg, key=SEMANTIC)
    rows = [
        {"row_id": row_id, **describer.add(data, sha256=sha256)._asdict()}
        for row_id, sha256, data in images(table, only=only)
    ]
    if cfg is not None:
        write_array(_embeddings_file(folder, table), describer.embeddings())
    write_rows(_signatures_file(folder, table), SIGNATURE, rows)  # last: with it, it is done


def _signatures_file(folder: Path, table: Path) -> Path:
    return folder / "signatures" / table.name


def _embeddings_file(folder: Path, table: Path) -> Path:
    return folder / "embeddings" / f"{table.stem}.npy"


def _index(
    cfg: Deduplicate, sets: Mapping[str, EvaluationSet], *, scenes: Path, output: Path
) -> None:
    """Describe and write down the images of all evaluation sets; several may share a root."""
    distinct = {
        (each.root, each.format, indexed_splits(each, cfg.evaluation_splits)): (name, each)
        for name, each in sorted(sets.items())
    }
    index = partial(_index_set, cfg=cfg, scenes=scenes)
    found = list(run_jobs(index, sorted(distinct.values()), label="evaluation sets"))
    embeddings = None if cfg.semantic is None else stacked([each for _, each in found])
    write_index(output, [row for rows, _ in found for row in rows], embeddings)


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
            pixels = decode(open_image(image.data))
        except UnreadableImageError as error:
            raise ValueError(
                f"evaluation_sets.{name}: {image.place} is {error}; restore the file, or the set "
                "cannot be kept out of the training data"
            ) from error
        signature = describer.add_decoded(image.data, pixels)
        rows.append(
            {
                "set": name,
                "place": image.place,
                "pixels": pixel_digest(pixels),
                **signature._asdict(),
                "cropped": looks_cropped(pixels, cfg.evaluation_crops),
            }
        )
    return rows, describer.embeddings()


def _drop_copies(
    connection: duckdb.DuckDBPyConnection,
    cfg: Deduplicate,
    images: Images,
    *,
    seed: int,
    work: Path,
) -> None:
    """Group images by bytes, then also by pixels, by looks, by meaning; keep the best of each."""
    files = list(images.files.values())
    max_bytes = int(_SHARE_FOR_HASHES * 1e6 * memory_megabytes())
    join = partial(join_equal, connection, files, max_bytes=max_bytes)
    join(column="sha256")
    _drop_groups(connection, BYTES)
    join(column="pixels")
    _drop_groups(connection, PIXELS)
    if cfg.near_duplicate_radius is not None:
        join(column="perceptual", condition=worth_comparing(cfg.min_contrast))
        join_alike(
            connection,
            files,
            radius=cfg.near_duplicate_radius,
            min_contrast=cfg.min_contrast,
            mirrored=cfg.mirrored,
            max_bytes=max_bytes,
        )
        _drop_groups(connection, LOOKS)
    if cfg.semantic is not None:
        _drop_by_meaning(connection, cfg.semantic, images, seed=seed, work=work)


def _drop_groups(connection: duckdb.DuckDBPyConnection, reason: str) -> None:
    contract(connection)
    drop_copies(connection, reason=reason)


def _drop_by_meaning(
    connection: duckdb.DuckDBPyConnection,
    cfg: Semantic,
    images: Images,
    *,
    seed: int,
    work: Path,
) -> None:
    """Group images by close embeddings, or thin out what the criteria before have left."""
    assert images.embeddings is not None
    how = cfg.selection
    # images of equal pixels have equal embeddings
    without = (BYTES, PIXELS) if how.kind == "components" else REASONS
    order = by_content(connection, work / "order.npy", without=without)
    vectors = Vectors(images.embeddings, order)
    if how.kind == "components":
        found = close_pairs(
            connection,
            vectors,
            min_cosine=cfg.min_cosine,
            lists=how.lists,
            probes=how.probes,
            seed=seed,
        )
        for left, right in found:
            add_pairs(connection, order[left], order[right])
        _drop_groups(connection, MEANING)
        return
    for dropped, kept in semdedup(
        connection, vectors, clusters=how.clusters, min_cosine=cfg.min_cosine, seed=seed
    ):
        drop_pairs(connection, order[dropped], order[kept], reason=MEANING)


def _write_verdicts(connection: duckdb.DuckDBPyConnection, images: Images, output: Path) -> Tally:
    stop = 0
    for group, file in images.files.items():
        places = range(stop, stop + num_rows(file))
        written = verdicts(connection, file, places)
        write_batches(output / "verdicts" / f"{group}.parquet", VERDICT, written)
        stop = places.stop
    tally = Tally(STAGE, [LEAK, DUPLICATE])
    dropped = counts(connection)
    for name, reason, number in dropped:
        tally.add(name, reason, number)
    tally.add(None, None, images.number - sum(number for *_, number in dropped))
    return tally
