"""The ledger of every input row, joined from all verdicts, and the funnel it must match.

Rows, images and verdicts of a group meet only within the group, so a join needs the memory of one.
"""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from data_filters.groups import groups_in
from data_filters.io.database import stream
from data_filters.io.parquet import part_files, scan_sql, sql_text, write_batches
from data_filters.io.stretches import stretch_sql, stretches
from data_filters.ledger import Entry, LedgerError, Tally, enforce, read_accounts
from data_filters.metadata.repeats import REPEATED
from data_filters.records import (
    IMAGE_VERDICT,
    LEDGER,
    METADATA,
    METADATA_VERDICT,
    RAW_IMAGE,
    VERDICT,
)

STAGES: Final = ("fetch_metadata", "filter_metadata", "download_images", "filter_images",
                 "deduplicate")  # fmt: skip
"""The stages that judge rows, in order; the name of each is that of its folder."""

PACK: Final = "pack_shards"


def declare_views(
    connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, Path], group: str
) -> None:
    """Name the tables of one group: rows, and judged_0 (metadata) to judged_3 (duplicates)."""
    metadata, groups = inputs["filter_metadata"], groups_in(inputs["filter_metadata"])
    rows = stretches(
        part_files(inputs["fetch_metadata"] / "parts"),
        group=groups.index(group),
        count=len(groups),
    )
    raw = inputs["download_images"] / group / "raw"
    judged = inputs["filter_images"] / group / "verdicts"
    chosen = inputs["deduplicate"] / "verdicts" / f"{group}.parquet"
    connection.register("no_rows", METADATA.empty_table())
    views = {
        "rows": " UNION ALL ".join(["SELECT * FROM no_rows", *map(stretch_sql, rows)]),
        "judged_0": _metadata_sql(
            _all_sql(connection, part_files(metadata / group / "verdicts"), METADATA_VERDICT),
            metadata / "repeated.parquet",
        ),
        "judged_1": _all_sql(connection, part_files(raw), RAW_IMAGE),
        "judged_2": _all_sql(connection, part_files(judged), IMAGE_VERDICT),
        "judged_3": _all_sql(connection, [chosen], VERDICT),
    }
    for name, query in views.items():
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")


def _metadata_sql(verdicts: str, repeated: Path) -> str:
    """Verdicts on metadata, repeated URLs included."""
    name, reason = map(sql_text, REPEATED)
    return (
        "SELECT part, row, judged.kept AND NOT again AS kept, "
        f"CASE WHEN again THEN {name} ELSE filter END AS filter, "
        f"CASE WHEN again THEN {reason} ELSE reason END AS reason, "
        "NULL AS detail, broken FROM (SELECT judged.*, repeated.row IS NOT NULL AS again "
        f"FROM ({verdicts}) AS judged "
        f"LEFT JOIN {scan_sql([repeated])} AS repeated USING (part, row)) AS judged"
    )


def _all_sql(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], schema: pa.Schema
) -> str:
    """All rows of some tables, with the file of each; a group may have none."""
    if files:
        return f"SELECT * FROM {scan_sql(files, filename=True)}"
    empty = f"no_{'_'.join(schema.names)}"
    connection.register(empty, schema.append(pa.field("filename", pa.string())).empty_table())
    return f"SELECT * FROM {empty}"


def read_funnel(inputs: Mapping[str, Path]) -> list[Entry]:
    """Chain the accounts of all stages.

    Raises:
        LedgerError: They do not form a chain.
    """
    entries = [entry for stage in STAGES for entry in read_accounts(inputs[stage])]
    enforce(entries)
    return entries


def write_ledger(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    inputs: Mapping[str, Path],
    starts: Sequence[str],
) -> int:
    """Write one row per input row: where it ended and why, or the shard it is in.

    Args:
        connection: A database.
        path: Where to.
        inputs: Published folders of the stages that judge.
        starts: The SHA-256 of the first sample of each shard.

    Returns:
        The number of rows.
    """
    cuts = pa.table({"first": starts, "shard": pa.array(range(len(starts)), pa.int32())})
    connection.register("cuts", cuts)
    return write_batches(path, LEDGER, _ledger(connection, inputs))


def _ledger(
    connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, Path]
) -> Iterator[pa.RecordBatch]:
    judged = [f"judged_{number}" for number in range(len(STAGES) - 1)]
    joins = "JOIN judged_0 ON rows.part = judged_0.part AND rows.row = judged_0.row " + " ".join(
        f"LEFT JOIN {after} ON {before}.kept AND rows.row_id = {after}.row_id"
        for before, after in pairwise(judged)
    )
    kept = f"coalesce({judged[-1]}.kept, false)"
    query = (
        "SELECT rows.part, rows.row, rows.row_id, coalesce(rows.url, rows.path) AS url, "
        f"{_stage_sql(judged)} AS stage, "
        f"CASE WHEN {kept} THEN 'kept' ELSE 'dropped' END AS verdict, "
        f"{_last_sql(judged, 'filter')}, {_last_sql(judged, 'reason')}, "
        f"{_last_sql(judged, 'detail')}, broken, "
        f"CASE WHEN {kept} THEN judged_1.sha256 END AS sha256 FROM rows {joins}"
    )
    with_shard = (
        f"SELECT judged.* EXCLUDE (sha256), cuts.shard FROM ({query}) AS judged "
        "ASOF LEFT JOIN cuts ON judged.sha256 >= cuts.first ORDER BY part, row"
    )
    for group in groups_in(inputs["filter_metadata"]):
        declare_views(connection, inputs, group)
        yield from stream(connection, with_shard)


def _stage_sql(judged: Sequence[str]) -> str:
    """The stage that dropped a row; packing, if none did. A row without a verdict was lost."""
    branches = " ".join(
        f"WHEN {table}.kept IS NULL THEN 'lost before {stage}' WHEN NOT {table}.kept THEN '{stage}'"
        for table, stage in zip(judged, STAGES[1:], strict=True)
    )
    return f"CASE {branches} ELSE '{PACK}' END"


def _last_sql(judged: Sequence[str], column: str) -> str:
    """A column of the verdict that dropped the row."""
    branches = " ".join(f"WHEN NOT {table}.kept THEN {table}.{column}" for table in judged)
    return f"CASE {branches} END AS {column}"


def check_ledger(
    connection: duckdb.DuckDBPyConnection, ledger: Path, funnel: Sequence[Entry]
) -> None:
    """Count the ledger again and compare it with the accounts that the stages kept.

    Raises:
        LedgerError: A row is missing, was counted twice, or has another verdict.
    """
    rows = connection.sql(
        "SELECT stage, filter, reason, verdict, count(*), count(shard) "
        f"FROM {scan_sql([ledger])} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    counted = {
        (stage, name, reason): count
        for stage, name, reason, verdict, count, _ in rows
        if verdict == "dropped"
    }
    kept = sum(count for *_, verdict, count, _ in rows if verdict == "kept")
    expected = {
        (entry.stage, entry.filter, reason): count
        for entry in funnel
        for reason, count in entry.reasons.items()
    }
    if counted != expected:
        differing = sorted(map(str, set(counted.items()) ^ set(expected.items())))
        raise LedgerError(f"ledger and funnel differ: {'; '.join(differing[:4])}")
    total, placed = (sum(row[column] for row in rows) for column in (4, 5))
    if (total, kept, placed) != (funnel[0].entered, funnel[-1].kept, funnel[-1].kept):
        raise LedgerError(
            f"ledger has {total} rows, {kept} kept, {placed} in a shard; the funnel says "
            f"{funnel[0].entered} rows, {funnel[-1].kept} kept"
        )


def pack_entry(num_samples: int) -> list[Entry]:
    """The account of packing itself: everything that comes in is packed."""
    tally = Tally(PACK, ["pack"])
    tally.add(None, None, num_samples)
    return tally.entries()
