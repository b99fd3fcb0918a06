"""The ledger of every input row, joined from all verdicts, and the funnel it must match."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb

from data_filters.io.database import stream
from data_filters.io.files import read_json
from data_filters.io.parquet import part_files, scan_sql, write_batches
from data_filters.ledger import Entry, LedgerError, Tally, enforce
from data_filters.records import LEDGER

STAGES: Final = ("fetch_metadata", "filter_metadata", "download_images", "filter_images",
                 "deduplicate")  # fmt: skip
"""The stages that judge rows, in order; the name of each is that of its folder."""

PACK: Final = "pack_shards"


def declare_views(connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, Path]) -> None:
    """Name the tables of all stages: rows, kept, judged_0 (metadata) to judged_3 (duplicates)."""
    tables = {
        "rows": inputs["fetch_metadata"] / "parts",
        "kept": inputs["filter_metadata"] / "kept",
        "judged_0": inputs["filter_metadata"] / "verdicts",
        "judged_1": inputs["download_images"] / "raw",
        "judged_2": inputs["filter_images"] / "verdicts",
        "judged_3": inputs["deduplicate"] / "verdicts",
    }
    for name, folder in tables.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {scan_sql(part_files(folder))}")


def read_funnel(inputs: Mapping[str, Path]) -> list[Entry]:
    """Chain the accounts of all stages.

    Raises:
        LedgerError: They do not form a chain.
    """
    entries = [
        Entry.from_json(account)
        for stage in STAGES
        for account in read_json(inputs[stage] / "funnel.json")
    ]
    enforce(entries)
    return entries


def write_ledger(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Write one row per input row: where it ended and why, or the shard it is in.

    Needs the views of `declare_views` and a table `packed` (row_id, shard). Returns the rows.
    """
    judged = [f"judged_{number}" for number in range(len(STAGES) - 1)]
    joins = "JOIN judged_0 ON rows.part = judged_0.part AND rows.row = judged_0.row " + " ".join(
        f"LEFT JOIN {after} ON {before}.kept AND rows.row_id = {after}.row_id"
        for before, after in pairwise(judged)
    )
    query = (
        "SELECT rows.part, rows.row, rows.row_id, coalesce(rows.url, rows.path) AS url, "
        f"{_stage_sql(judged)} AS stage, "
        "CASE WHEN packed.shard IS NULL THEN 'dropped' ELSE 'kept' END AS verdict, "
        f"{_last_sql(judged, 'filter')}, {_last_sql(judged, 'reason')}, "
        f"{_last_sql(judged, 'detail')}, packed.shard AS shard "
        f"FROM rows {joins} LEFT JOIN packed "
        f"ON {judged[-1]}.kept AND packed.row_id = rows.row_id ORDER BY rows.part, rows.row"
    )
    return write_batches(path, LEDGER, stream(connection, query))


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
        f"SELECT stage, filter, reason, verdict, count(*) FROM {scan_sql([ledger])} "
        "GROUP BY stage, filter, reason, verdict ORDER BY stage, filter, reason, verdict"
    ).fetchall()
    counted = {
        (stage, name, reason): count
        for stage, name, reason, verdict, count in rows
        if verdict == "dropped"
    }
    kept = sum(count for *_, verdict, count in rows if verdict == "kept")
    expected = {
        (entry.stage, entry.filter, reason): count
        for entry in funnel
        for reason, count in entry.reasons.items()
    }
    if counted != expected:
        differing = sorted(map(str, set(counted.items()) ^ set(expected.items())))
        raise LedgerError(f"ledger and funnel differ: {'; '.join(differing[:4])}")
    total = sum(count for *_, count in rows)
    if (total, kept) != (funnel[0].entered, funnel[-1].kept):
        raise LedgerError(
            f"ledger has {total} rows, {kept} kept; the funnel says {funnel[0].entered} rows, "
            f"{funnel[-1].kept} kept"
        )


def pack_entry(num_samples: int) -> list[Entry]:
    """The account of packing itself: everything that comes in is packed."""
    tally = Tally(PACK, ["pack"])
    tally.add(None, None, num_samples)
    return tally.entries()
