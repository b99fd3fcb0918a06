"""Pack whole data sets for high-resolution fine-tuning and RASA, apart from pre-training.

Written:

    pack_highres/
        shard-000000.tar …   `<key>.<jpg|png|webp>` and `<key>.json`; a shard holds one set
        index.parquet        where every image lies (`records.HIGHRES_INDEX`); empty without sets
        ledger.parquet       what became of every image (`records.HIGHRES_LEDGER`), set by set
        funnel.json          the accounts of all sets together
        sets.json            for each set its images, those kept, and one hash of names and sizes of
                             its files as they were read; none for what `datasets` opens

Nothing is filtered: an image is left out only if it cannot be read or if an evaluation set holds
it, and copies stay. So a mix whose parts are whole has as many images as the paper says it has. In
a set, images are ordered by the hash of their path: every shard is a random sample of its set.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_filters.catalogue import Counts, check_counts
from data_filters.config import Catalogue, Deduplicate, ImageSource, PackHighres, layout_of
from data_filters.config_models import Semantic
from data_filters.dedup.decision import LEAK
from data_filters.dedup.describe import build_describer
from data_filters.dedup.evaluation_index import leak_finder, read_index
from data_filters.dedup.leakage import REASONS, Signatures
from data_filters.dedup.vectors import Embeddings, stacked
from data_filters.download.copy import copy_shards
from data_filters.download.plan import ShardPlan, plan_shards
from data_filters.download.raw_shard import FILTER
from data_filters.io.access import explained
from data_filters.io.files import digest_of_sizes, read_json, write_array, write_json
from data_filters.io.parquet import ParquetWriter, num_rows, part_files, read_slice, write_rows
from data_filters.io.pixels import UnreadableImageError, decode, open_image, pixel_digest
from data_filters.io.processes import run_jobs
from data_filters.io.raw_images import images
from data_filters.ledger import Tally, write_accounts
from data_filters.pack.shard import write_shards
from data_filters.records import (
    HIGHRES_INDEX,
    HIGHRES_LEDGER,
    IMAGE_VERDICT,
    PACKED,
    SIGNATURE,
    content_id,
)
from data_filters.source_kinds import Huggingface, LocalSource
from data_filters.sources.listing import list_images
from data_filters.sources.local import open_source

logger = logging.getLogger(__name__)

STAGE: Final = "pack_highres"
UNREADABLE: Final = "decoding"
FILTERS: Final = (FILTER, UNREADABLE, LEAK)
SEMANTIC: Final = "deduplicate.semantic"

_PACKED: Final = pa.schema([*PACKED, ("set", pa.string())])
_DESCRIBED: Final = pa.schema(
    [
        *IMAGE_VERDICT,
        ("path", pa.string()),
        *map(PACKED.field, ("caption", "original_md5", "extension", "tar", "offset", "size")),
        *list(SIGNATURE)[1:],
    ]
)
"""An image of a raw shard: its verdict so far, what the books need, and its signature."""


def run(
    cfg: PackHighres,
    *,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    deduplicate: Deduplicate,
) -> dict[str, Any]:
    """Copy, judge and pack set by set; see the module's docstring for the layout.

    A killed run continues with the raw shards, the judged ones and the shards that `work` lacks; a
    set whose files are others by then is copied anew.

    Raises:
        FileNotFoundError: A set is not where the parameters say.
        ValueError: A set is not whole, or too much of it cannot be read.
    """
    del seed  # the order is that of the hashes
    packed, tally = work / "packed.parquet", Tally(STAGE, FILTERS)
    stretches: list[range] = []
    sets: dict[str, dict[str, Any]] = {}
    with (
        ParquetWriter(packed, _PACKED) as samples,
        ParquetWriter(output / "ledger.parquet", HIGHRES_LEDGER) as ledger,
    ):
        for name, source in cfg.sets.items():
            layout = _layout(source, scenes=inputs["scenes"])
            digest = _current(name, layout, work / name)
            copy = _copy(name, source, layout, cfg=cfg, folder=work / name)
            table, embeddings = _described(copy, work / name, deduplicate.semantic)
            _check_readable(name, table, maximum=cfg.max_unreadable_rate)
            if cfg.evaluation_images == "drop":
                table = _without_leaks(table, embeddings, inputs["deduplicate"], deduplicate)
            table = _placed(name, table, per_shard=cfg.samples_per_shard, before=stretches)
            ledger.write(table)
            _count(table, tally)
            left = table.filter(table["kept"])
            sets[name] = {
                "images": table.num_rows,
                "kept": left.num_rows,
                "digest_of_sizes": digest,
            }
            rows = range(samples.num_rows, samples.num_rows + left.num_rows)
            stretches += [
                rows[n : n + cfg.samples_per_shard]
                for n in range(0, left.num_rows, cfg.samples_per_shard)
            ]
            samples.write(left)
    write_shards(packed, stretches, index=HIGHRES_INDEX, work=work, output=output)
    write_accounts(output, tally.entries())
    write_json(output / "sets.json", sets)
    return {"sets": len(cfg.sets), "images": tally.kept, "shards": len(stretches)}


def _layout(source: ImageSource, *, scenes: Path) -> LocalSource:
    layout = layout_of(source)
    assert isinstance(layout, LocalSource)  # the section's validator
    return layout.model_copy(update={"root": layout.root.replace("{scenes}", str(scenes))})


def _current(name: str, layout: LocalSource, folder: Path) -> str | None:
    """Return one hash of names and sizes of a set's files; empty `folder` if it was of others."""
    if isinstance(layout, Huggingface):
        return None
    key = f"{STAGE}.sets.{name}"
    with explained(layout.root, key=key):
        digest = digest_of_sizes(layout.root)
    note = folder / "source.json"
    if note.exists() and read_json(note) != digest:
        logger.warning("%s: other files lie below %s by now: copied anew", key, layout.root)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(note, digest)
    return digest


def _copy(
    name: str, source: ImageSource, layout: LocalSource, *, cfg: PackHighres, folder: Path
) -> list[ShardPlan]:
    """List a set, compare it with the catalogue, and copy it into raw shards below `folder`."""
    key = f"{STAGE}.sets.{name}"
    list_images(open_source(layout, key=key), folder / "parts")
    parts = part_files(folder / "parts")
    if isinstance(source, Catalogue) and source.expected is not None:
        found = Counts(files=len(parts), rows=sum(map(num_rows, parts)))
        check_counts(source.name, source.expected, found=found, key=key)
    plans = plan_shards(parts, rows_per_shard=cfg.samples_per_shard)
    (folder / "raw").mkdir(exist_ok=True)
    copy_shards(layout, plans, folder=folder / "raw", key=key)
    return plans


def _described(
    plans: list[ShardPlan], folder: Path, semantic: Semantic | None
) -> tuple[pa.Table, Embeddings | None]:
    """Decode and sign every image; with embeddings of the readable ones, if they are asked for."""
    job = partial(_describe, folder=folder, semantic=semantic)
    files = list(run_jobs(job, plans, label=f"{folder.name}: signatures"))
    table = pa.concat_tables([pq.read_table(file) for file in files]).combine_chunks()
    if semantic is None:
        return table, None
    return table, stacked([np.load(file.with_suffix(".npy")) for file in files])


def _describe(plan: ShardPlan, *, folder: Path, semantic: Semantic | None) -> Path:
    """Describe a raw shard, unless that was done before; rows are sorted by row id."""
    raw, file = (
        folder / "raw" / f"{plan.stem}.parquet",
        folder / "described" / f"{plan.stem}.parquet",
    )
    if file.exists():
        return file
    listed = read_slice(plan.file, ["row_id", "path", "caption"], start=plan.start, stop=plan.stop)
    paths = {row["row_id"]: row for row in listed.to_pylist()}
    rows = {
        row["row_id"]: {**row, **paths[row["row_id"]], "tar": str(raw.with_suffix(".tar"))}
        for row in pq.read_table(raw).to_pylist()
    }
    describer = build_describer(semantic, key=SEMANTIC)
    for row_id, sha256, data in images(raw):
        try:
            pixels = decode(open_image(data))
        except UnreadableImageError as error:
            verdict = {"filter": UNREADABLE, "reason": error.reason, "detail": error.detail}
            rows[row_id] |= {"kept": False, **verdict}
            continue
        signature = describer.add_decoded(data, pixels, sha256=sha256)
        height, width, _ = pixels.shape
        found = {"width": width, "height": height, "pixels": pixel_digest(pixels)}
        rows[row_id] |= {**found, **signature._asdict()}
    if semantic is not None:
        write_array(file.with_suffix(".npy"), describer.embeddings())
    write_rows(file, _DESCRIBED, rows.values())
    return file


def _check_readable(name: str, table: pa.Table, *, maximum: float) -> None:
    """Stop where a set is damaged rather than pack the rest of it.

    Raises:
        ValueError: More of it than `maximum` cannot be read.
    """
    lost = table.filter(pc.invert(table["kept"]))
    if lost.num_rows > maximum * table.num_rows:
        first = lost.slice(0, 1).to_pylist()[0]
        raise ValueError(
            f"{STAGE}.sets.{name}: {lost.num_rows:,} of {table.num_rows:,} images cannot be read, "
            f"the first of them {first['path']} ({first['reason']}): restore your copy, or raise "
            f"{STAGE}.max_unreadable_rate"
        )


def _without_leaks(
    table: pa.Table, embeddings: Embeddings | None, index: Path, cfg: Deduplicate
) -> pa.Table:
    """Drop what an evaluation set holds, by the rules of `deduplicate`.

    Args:
        table: Columns of `_DESCRIBED`.
        embeddings: Of its kept rows.
        index: The published folder of `deduplicate`.
        cfg: Its section.
    """
    evaluation = read_index(index, cfg)
    readable = np.flatnonzero(table["kept"].to_numpy())
    leaks = leak_finder(evaluation, cfg).find(Signatures.of(table.take(readable), embeddings))
    leaked = readable[leaks.images]
    verdicts = {
        "kept": (False, leaked),
        "filter": (LEAK, leaked),
        "reason": ([REASONS[number] for number in leaks.reasons], leaked),
        "detail": (evaluation.places.take(pa.array(leaks.matches)).to_pylist(), leaked),
    }
    for column, (values, rows) in verdicts.items():
        changed = np.asarray(table[column].to_pylist(), np.object_)
        changed[rows] = values
        field = table.schema.field(column)
        place = table.schema.get_field_index(column)
        table = table.set_column(place, field, pa.array(changed.tolist(), field.type))
    return table


def _count(table: pa.Table, tally: Tally) -> None:
    for verdict in table.select(["filter", "reason"]).to_pylist():
        tally.add(verdict["filter"], verdict["reason"])


def _placed(name: str, table: pa.Table, *, per_shard: int, before: Sequence[range]) -> pa.Table:
    """Order a set by the keys of its images, and deal the kept ones out to its shards.

    Args:
        name: Of the set.
        table: Columns of `_DESCRIBED`.
        per_shard: Images of a shard, at most.
        before: Shards of the sets before.
    """
    keys = np.asarray([content_id(f"{name}/{row}") for row in table["row_id"].to_pylist()])
    order = np.argsort(keys)
    table, kept = table.take(order), table["kept"].to_numpy()[order]
    shards = len(before) + (np.cumsum(kept) - 1) // per_shard
    added = {
        "key": pa.array(keys[order], mask=~kept),
        "shard": pa.array(shards, pa.int32(), mask=~kept),
        "set": pa.array([name] * len(order), pa.string()),
        "url": table["path"],
    }
    for column, values in added.items():
        table = table.append_column(column, values)
    return table
