"""Judge every metadata row in one vectorised pass; keep, or drop with a reason.

filter_metadata/
    verdicts/part-00000.parquet …   every row's verdict (`records.METADATA_VERDICT`)
    kept/part-00000.parquet …       the kept rows with all columns, in the source's order
    funnel.json                     the accounts, filter by filter
    statistics.json                 most frequent domains, what each rule alone would drop
"""

# ruff: noqa: S608  the SQL is made of our own words; texts go through sql_text

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from data_filters.base import RuleFilter
from data_filters.config import FilterMetadata
from data_filters.io.database import connect, stream
from data_filters.io.files import write_json
from data_filters.io.parquet import part_files, scan_sql, write_batches
from data_filters.ledger import Tally
from data_filters.metadata.address import HOST_SQL
from data_filters.metadata.build import build_filters
from data_filters.metadata.judge import REPEATED, first_copies_sql, judged_sql, without_repeats_sql
from data_filters.records import METADATA, METADATA_VERDICT

STAGE: Final = "filter_metadata"
NUM_DOMAINS: Final = 20


def run(
    cfg: FilterMetadata, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Write verdicts and kept rows; see the module's docstring for the layout.

    Raises:
        ValueError: No row passes.
    """
    files = part_files(inputs["fetch_metadata"] / "parts")
    filters = build_filters(cfg, seed=seed)
    tally = Tally(STAGE, [*(each.name for each in filters), REPEATED[0]])
    with connect(work) as connection:
        nothing = "" if cfg.drop_repeated_urls else " LIMIT 0"
        copies = first_copies_sql(judged_sql(files, filters)) + nothing
        connection.execute(f"CREATE TEMP TABLE copies AS {copies}")
        for file in files:
            _write_part(connection, file, filters, output)
        _count(connection, part_files(output / "verdicts"), tally)
        statistics = _statistics(connection, files, filters)
    if tally.kept == 0:
        raise ValueError(
            f"{STAGE}: none of {tally.total} rows passes; most are dropped by "
            f"{max(tally.entries(), key=lambda entry: entry.dropped).filter}: loosen {STAGE}"
        )
    write_json(output / "funnel.json", [entry.to_json() for entry in tally.entries()])
    write_json(output / "statistics.json", statistics)
    return {"rows": tally.total, "kept": tally.kept}


def _write_part(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    filters: Sequence[RuleFilter],
    output: Path,
) -> None:
    """Judge one part and write its two tables."""
    rows = without_repeats_sql(judged_sql([file], filters), "copies")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {rows}")
    verdict = (
        "SELECT part, row, row_id, verdict IS NULL AS kept, verdict.filter AS filter, "
        "verdict.reason AS reason, NULL AS detail FROM judged ORDER BY row"
    )
    write_batches(output / "verdicts" / file.name, METADATA_VERDICT, stream(connection, verdict))
    kept = f"SELECT {', '.join(METADATA.names)} FROM judged WHERE verdict IS NULL ORDER BY row"
    write_batches(output / "kept" / file.name, METADATA, stream(connection, kept))


def _count(connection: duckdb.DuckDBPyConnection, verdicts: Sequence[Path], tally: Tally) -> None:
    rows = connection.sql(
        f"SELECT filter, reason, count(*) FROM {scan_sql(verdicts)} "
        "GROUP BY filter, reason ORDER BY filter, reason"
    ).fetchall()
    for name, reason, count in rows:
        tally.add(name, reason, count)


def _statistics(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], filters: Sequence[RuleFilter]
) -> dict[str, Any]:
    """Count domains, and what each rule would drop if it were the only one."""
    scan = f"FROM {scan_sql(files)}"
    domains = connection.sql(
        f"SELECT {HOST_SQL} AS host, count(*) AS n {scan} WHERE url IS NOT NULL "
        f"GROUP BY host ORDER BY n DESC, host LIMIT {NUM_DOMAINS}"
    ).fetchall()
    num_domains = connection.sql(f"SELECT count(DISTINCT {HOST_SQL}) {scan} WHERE url IS NOT NULL")
    rules = [(each.name, rule) for each in filters for rule in each.rules()]
    alone = connection.sql(
        f"SELECT {', '.join(f'count(*) FILTER (WHERE {rule.condition})' for _, rule in rules)} "
        f"{scan}"
    ).fetchall()[0]
    return {
        "num_domains": num_domains.fetchall()[0][0],
        "domains": dict(domains),
        "dropped_if_alone": [
            {"filter": name, "reason": rule.reason, "rows": count}
            for (name, rule), count in zip(rules, alone, strict=True)
        ],
    }
