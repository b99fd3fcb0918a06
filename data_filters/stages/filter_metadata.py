"""Judge every metadata row in one vectorised pass; keep, or drop with a reason.

filter_metadata/
    group-000/
        verdicts/part-00000.parquet …   every row's verdict (`records.METADATA_VERDICT`)
        kept/part-00000.parquet …       rows that break no rule, with all columns, in order
        domains.parquet                 rows by domain
        broken.json                     rows by the set of rules they break
        funnel.json                     the accounts of the group
    repeated.parquet                    rows of `kept` dropped for another with the same URL
    funnel.json                         the accounts, filter by filter
    ablation.json                       what each filter drops alone, in sequence and on its own
    statistics.json                     most frequent domains
"""

# ruff: noqa: S608  the SQL is made of our own words; texts go through sql_text

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from data_filters.ablation import COMBINATIONS, Objector, write_ablation, write_combinations
from data_filters.config import FetchMetadata, FilterMetadata
from data_filters.groups import group_number
from data_filters.io.database import connect, stream
from data_filters.io.files import write_json
from data_filters.io.parquet import ParquetWriter, part_files, scan_sql, write_batches
from data_filters.io.processes import memory_megabytes
from data_filters.io.stretches import Stretch, stretch_sql, stretches
from data_filters.ledger import Entry, Tally, merge, read_accounts, write_accounts
from data_filters.metadata.address import HOST_SQL
from data_filters.metadata.build import build_filters
from data_filters.metadata.judge import (
    NamedRule,
    declare_functions,
    first_broken,
    judged_sql,
    named_rules,
    verdicts,
)
from data_filters.metadata.repeats import REPEATED as REPEATED_URL
from data_filters.metadata.repeats import repeats
from data_filters.records import DOMAIN, METADATA, METADATA_VERDICT, REPEATED

STAGE: Final = "filter_metadata"
NUM_DOMAINS: Final = 20
_SHARE_FOR_HASHES: Final = 0.25
"""Of the stage's memory; DuckDB has its own share."""


def run(
    cfg: FilterMetadata,
    *,
    seed: int,
    fetch_metadata: FetchMetadata,
    group: str,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Judge the rows of one group; see the module's docstring for the layout."""
    rows = stretches(
        part_files(inputs["fetch_metadata"] / "parts"),
        group=group_number(group),
        count=fetch_metadata.groups,
    )
    combinations: Counter[int] = Counter()
    for folder in ("verdicts", "kept"):
        (output / folder).mkdir()
    with connect(work) as connection:
        filters = build_filters(cfg, seed=seed)
        rules = named_rules(filters)
        declare_functions(connection, filters)
        for stretch in rows:
            combinations += _judge(connection, stretch, rules, output)
        _write_domains(connection, rows, output / "domains.parquet")
    write_combinations(output / COMBINATIONS, combinations)
    tally = Tally(STAGE, [each.name for each in filters])
    for mask, count in combinations.items():
        first = int(first_broken(np.array([mask], np.uint64))[0])
        name, reason = (rules[first].filter, rules[first].reason) if mask else (None, None)
        tally.add(name, reason, count)
    write_accounts(output, tally.entries())
    return {"rows": tally.total, "kept": tally.kept}


def _judge(
    connection: duckdb.DuckDBPyConnection,
    stretch: Stretch,
    rules: Sequence[NamedRule],
    output: Path,
) -> Counter[int]:
    """Judge a stretch of one part in one pass, and write its two tables."""
    combinations: Counter[int] = Counter()
    name = stretch.file.name
    with (
        ParquetWriter(output / "verdicts" / name, METADATA_VERDICT) as judged,
        ParquetWriter(output / "kept" / name, METADATA) as kept,
    ):
        for batch in stream(connection, judged_sql(stretch_sql(stretch), rules)):
            masks, counts = np.unique(batch["broken"].to_numpy(), return_counts=True)
            combinations.update(dict(zip(masks.tolist(), counts.tolist(), strict=True)))
            judged.write(verdicts(batch, rules))
            kept.write(batch.filter(pa.array(batch["broken"].to_numpy() == 0)))
    return combinations


def _write_domains(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Stretch], path: Path
) -> None:
    everything = " UNION ALL ".join(map(stretch_sql, rows)) or "SELECT NULL AS url LIMIT 0"
    query = (
        f"SELECT {HOST_SQL} AS domain, count(*) AS rows FROM ({everything}) "
        "WHERE url IS NOT NULL GROUP BY domain ORDER BY domain"
    )
    write_batches(path, DOMAIN, stream(connection, query))


def gather(
    cfg: FilterMetadata,
    *,
    seed: int,
    fetch_metadata: FetchMetadata,
    parts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Find repeated URLs in all groups, and add up their accounts.

    Raises:
        ValueError: No row passes.
    """
    del fetch_metadata, inputs  # the groups have read what there is to read
    files = [file for folder in parts.values() for file in part_files(folder / "kept")]
    with connect(work) as connection:
        filters = build_filters(cfg, seed=seed)
        max_bytes = int(_SHARE_FOR_HASHES * 1e6 * memory_megabytes())
        found = repeats(connection, files, max_bytes=max_bytes) if cfg.drop_repeated_urls else ()
        repeated = write_batches(output / "repeated.parquet", REPEATED, found)
        statistics = _statistics(connection, [path / "domains.parquet" for path in parts.values()])
    entries = merge(read_accounts(folder) for folder in parts.values())
    name, reason = REPEATED_URL
    passing = entries[-1].kept
    reasons = {reason: repeated} if repeated else {}
    entries.append(Entry(stage=STAGE, filter=name, entered=passing, reasons=reasons))
    if passing == 0:
        worst = max(entries, key=lambda entry: entry.dropped).filter
        raise ValueError(
            f"{STAGE}: none of {entries[0].entered} rows passes; most are dropped by {worst}: "
            f"loosen {STAGE}"
        )
    write_accounts(output, entries)
    rules = [Objector(rule.filter, rule.reason) for rule in named_rules(filters)]
    names = [each.name for each in filters]
    write_ablation(output, parts.values(), rules, filters=names)
    write_json(output / "statistics.json", statistics)
    return {"rows": entries[0].entered, "kept": entries[-1].kept}


def _statistics(connection: duckdb.DuckDBPyConnection, domains: Sequence[Path]) -> dict[str, Any]:
    """Count domains over all groups, and name the most frequent ones."""
    connection.execute(
        "CREATE TEMP TABLE domains AS SELECT domain, CAST(sum(rows) AS BIGINT) AS rows "
        f"FROM {scan_sql(domains)} GROUP BY domain"
    )
    most = connection.sql(
        f"SELECT domain, rows FROM domains ORDER BY rows DESC, domain LIMIT {NUM_DOMAINS}"
    ).fetchall()
    number = connection.sql("SELECT count(*) FROM domains").fetchall()[0][0]
    return {"num_domains": number, "domains": dict(most)}
