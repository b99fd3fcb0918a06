"""Pack what is left into webdataset shards with an index, a manifest and a ledger.

Written:

    pack_shards/
        shard-000000.tar …   `<key>.<jpg|png|webp>` and `<key>.json`, sorted by key
        index.parquet        where every image lies (`records.INDEX`), by shard and offset
        manifest.parquet     where every image came from (`records.MANIFEST`), in the same order
        ledger.parquet       what became of every row of the source (`records.LEDGER`)
        funnel.json          the accounts of all data stages, filter by filter
        card.md              the same for people

Samples are ordered by the SHA-256 of their bytes: every shard is a random sample of the whole, and
neither the order of the source nor that of the downloads leaves a trace.
"""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from data_filters.config import PackShards
from data_filters.io.database import connect
from data_filters.io.files import write_json, write_text
from data_filters.io.parquet import write_rows
from data_filters.io.processes import run_jobs
from data_filters.pack.books import (
    PACK,
    check_ledger,
    declare_views,
    pack_entry,
    read_funnel,
    write_ledger,
)
from data_filters.pack.card import write_card
from data_filters.pack.shard import Sample, shard_name, write_shard
from data_filters.records import INDEX, KEY_LENGTH, MANIFEST

QUANTILES: Final = (0, 0.05, 0.5, 0.95, 1)


def run(
    cfg: PackShards, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Write the shards and their books; see the module's docstring for the layout.

    Raises:
        LedgerError: The accounts of the stages do not add up.
        ValueError: Fewer images are left than `min_samples`.
    """
    del seed  # the order is that of the content
    funnel = read_funnel(inputs)
    with connect(work) as connection:
        declare_views(connection, inputs)
        _order_samples(connection, per_shard=cfg.samples_per_shard)
        samples = _samples(connection, inputs["download_images"] / "raw")
        num_samples = sum(map(len, samples))
        if num_samples < cfg.min_samples:
            raise ValueError(
                f"{PACK}: {num_samples} images are left, fewer than min_samples {cfg.min_samples}: "
                f"see the funnel of the stages before, loosen them, or lower {PACK}.min_samples"
            )
        funnel += pack_entry(num_samples)
        write_ledger(connection, output / "ledger.parquet")
        check_ledger(connection, output / "ledger.parquet", funnel)
        statistics = _statistics(connection)
    _write_shards(samples, output)
    statistics["shards"] = len(samples)
    write_json(output / "funnel.json", [entry.to_json() for entry in funnel])
    write_text(output / "card.md", write_card(funnel, statistics))
    return {"samples": num_samples, "shards": len(samples), "bytes": statistics["bytes"]}


def _order_samples(connection: duckdb.DuckDBPyConnection, *, per_shard: int) -> None:
    """Make the table `packed`: every sample that is left, in order, with its shard."""
    connection.execute(
        f"""CREATE TEMP TABLE packed AS
        SELECT left(sha256, {KEY_LENGTH}) AS key, row_id, coalesce(url, path) AS url, caption,
            sha256, judged_2.width AS width, judged_2.height AS height, extension,
            judged_1.shard AS raw_shard, "offset", size,
            CAST((row_number() OVER (ORDER BY sha256) - 1) // {per_shard} AS INTEGER) AS shard
        FROM judged_3 JOIN judged_2 USING (row_id) JOIN judged_1 USING (row_id)
            JOIN kept USING (row_id)
        WHERE judged_3.kept ORDER BY sha256"""
    )


def _samples(connection: duckdb.DuckDBPyConnection, raw: Path) -> list[list[Sample]]:
    """Read the samples of each shard."""
    rows = connection.sql(
        "SELECT shard, key, row_id, url, caption, sha256, width, height, extension, raw_shard, "
        '"offset", size FROM packed ORDER BY sha256'
    ).fetchall()
    shards: list[list[Sample]] = []
    for shard, *fields, raw_shard, offset, size in rows:
        if shard == len(shards):
            shards.append([])
        tar = raw / shard_name(raw_shard)
        shards[shard].append(Sample._make((*fields, tar, offset, size)))
    return shards


def _write_shards(shards: Sequence[Sequence[Sample]], output: Path) -> None:
    """Write tars, index and manifest."""
    index, manifest = [], []
    write = partial(_write_numbered, output=output)
    offsets = run_jobs(write, list(enumerate(shards)), label="shards")
    for shard, (samples, places) in enumerate(zip(shards, offsets, strict=True)):
        for sample, offset in zip(samples, places, strict=True):
            record = {**sample._asdict(), "shard": shard, "offset": offset}
            index.append({name: record[name] for name in INDEX.names})
            manifest.append({name: record[name] for name in MANIFEST.names})
    write_rows(output / "index.parquet", INDEX, index)
    write_rows(output / "manifest.parquet", MANIFEST, manifest)


def _write_numbered(item: tuple[int, Sequence[Sample]], *, output: Path) -> list[int]:
    shard, samples = item
    return write_shard(samples, output / shard_name(shard))


def _statistics(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    samples, size, captions = connection.sql(
        "SELECT count(*), sum(size), count(caption) FROM packed"
    ).fetchall()[0]
    measures = {
        "width, pixels": "width",
        "height, pixels": "height",
        "size, bytes": "size",
    }
    quantiles = {
        name: connection.sql(
            f"SELECT quantile_disc({column}, {list(QUANTILES)}) FROM packed"
        ).fetchall()[0][0]
        for name, column in measures.items()
    }
    formats = connection.sql(
        "SELECT extension, count(*) FROM packed GROUP BY extension ORDER BY extension"
    ).fetchall()
    return {
        "samples": samples,
        "bytes": int(size or 0),
        "captions": captions,
        "quantiles": quantiles,
        "formats": dict(formats),
    }
