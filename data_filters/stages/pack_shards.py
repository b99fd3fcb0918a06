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

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from data_filters.catalogue import lookup
from data_filters.config import Catalogue, FetchMetadata, PackShards, Source
from data_filters.groups import groups_in
from data_filters.io.database import connect, stream
from data_filters.io.files import write_text
from data_filters.io.parquet import ParquetWriter, scan_sql
from data_filters.ledger import write_accounts
from data_filters.pack.books import (
    PACK,
    check_ledger,
    declare_views,
    pack_entry,
    read_funnel,
    write_ledger,
)
from data_filters.pack.card import write_card
from data_filters.pack.shard import write_manifest, write_shards
from data_filters.records import INDEX, KEY_LENGTH, PACKED
from data_filters.source_kinds import Embedded

QUANTILES: Final = (0, 0.05, 0.5, 0.95, 1)


def run(
    cfg: PackShards,
    *,
    seed: int,
    fetch_metadata: FetchMetadata,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Write the shards and their books; see the module's docstring for the layout.

    A killed run continues with the shards that `work` lacks.

    Raises:
        LedgerError: The accounts of the stages do not add up.
        ValueError: Fewer images are left than `min_samples`.
    """
    del seed  # the order is that of the content
    funnel, packed = read_funnel(inputs), work / "packed.parquet"
    with connect(work) as connection:
        starts = _order_samples(connection, inputs, packed, per_shard=cfg.samples_per_shard)
        statistics = _statistics(connection, packed)
        num_samples = statistics["samples"]
        if num_samples < cfg.min_samples:
            raise ValueError(
                f"{PACK}: {num_samples} images are left, fewer than min_samples {cfg.min_samples}: "
                f"see the funnel of the stages before, loosen them, or lower {PACK}.min_samples"
            )
        funnel += pack_entry(num_samples)
        write_ledger(connection, output / "ledger.parquet", inputs=inputs, starts=starts)
        check_ledger(connection, output / "ledger.parquet", funnel)
    size = cfg.samples_per_shard
    stretches = [range(n, min(n + size, num_samples)) for n in range(0, num_samples, size)]
    write_shards(packed, stretches, index=INDEX, work=work, output=output)
    write_manifest(packed, output / "manifest.parquet")
    statistics["shards"] = len(starts)
    write_accounts(output, funnel)
    source = _in_words(fetch_metadata.source)
    write_text(output / "card.md", write_card(funnel, statistics, source=source))
    return {"samples": num_samples, "shards": len(starts), "bytes": statistics["bytes"]}


def _in_words(source: Source) -> str:
    """Say what a source is, and its terms where the catalogue knows them."""
    if isinstance(source, Catalogue):
        entry = lookup(source.name)
        return f"`{source.name}`, {entry.summary}. Terms: {entry.licence}."
    if isinstance(source, Embedded):
        return "the embedded world, which the stage scenes renders. Terms: those of this project."
    return f"{source.kind} at `{source.root}`. Its terms are not in the catalogue."


def _order_samples(
    connection: duckdb.DuckDBPyConnection,
    inputs: Mapping[str, Path],
    packed: Path,
    *,
    per_shard: int,
) -> list[str]:
    """Write every sample that is left, in order, with its shard; return where shards begin."""
    connection.execute(
        "CREATE TEMP TABLE chosen (key VARCHAR, row_id VARCHAR, url VARCHAR, caption VARCHAR, "
        "sha256 VARCHAR, original_md5 VARCHAR, width INTEGER, height INTEGER, extension VARCHAR, "
        'tar VARCHAR, "offset" BIGINT, size BIGINT)'
    )
    for group in groups_in(inputs["filter_metadata"]):
        declare_views(connection, inputs, group)
        connection.execute(
            f"""INSERT INTO chosen
            SELECT left(sha256, {KEY_LENGTH}), row_id, coalesce(url, path), caption, sha256,
                original_md5, judged_2.width, judged_2.height, extension,
                regexp_replace(judged_1.filename, '[.]parquet$', '.tar'), "offset", size
            FROM judged_3 JOIN judged_2 USING (row_id) JOIN judged_1 USING (row_id)
                JOIN (SELECT * FROM rows JOIN judged_0 USING (part, row) WHERE kept) USING (row_id)
            WHERE judged_3.kept"""
        )
    starts: list[str] = []
    with ParquetWriter(packed, PACKED) as writer:
        for batch in stream(connection, "SELECT * FROM chosen ORDER BY sha256"):
            places = np.arange(writer.num_rows, writer.num_rows + batch.num_rows)
            begins = np.flatnonzero(places % per_shard == 0)
            starts += batch["sha256"].take(pa.array(begins)).to_pylist()
            writer.write(batch.append_column("shard", pa.array(places // per_shard)))
    connection.execute("DROP TABLE chosen")
    return starts


def _statistics(connection: duckdb.DuckDBPyConnection, packed: Path) -> dict[str, Any]:
    scan = scan_sql([packed])
    samples, size, captions = connection.sql(
        f"SELECT count(*), sum(size), count(caption) FROM {scan}"
    ).fetchall()[0]
    measures = {
        "width, pixels": "width",
        "height, pixels": "height",
        "size, bytes": "size",
    }
    quantiles = {
        name: connection.sql(
            f"SELECT quantile_disc({column}, {list(QUANTILES)}) FROM {scan}"
        ).fetchall()[0][0]
        for name, column in measures.items()
    }
    formats = connection.sql(
        f"SELECT extension, count(*) FROM {scan} GROUP BY extension ORDER BY extension"
    ).fetchall()
    return {
        "samples": samples,
        "bytes": int(size or 0),
        "captions": captions,
        "quantiles": quantiles,
        "formats": dict(formats),
    }
