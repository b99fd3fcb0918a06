"""Fetch the images of the kept rows into raw shards, each row with what became of it.

Written:

    download_images/
        group-000/
            raw/shard-000000.tar …      images as they came (`<row id>.<jpg|png|webp>`), sorted
            raw/shard-000000.parquet …  one row per row of the kept metadata (`records.RAW_IMAGE`)
            funnel.json                 the account of the group
        funnel.json                     the account: arrived, or lost for which reason
"""

from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from scipy.special import bdtr

from data_filters.config import DownloadImages, FetchMetadata, layout_of
from data_filters.download.copy import copy_shards
from data_filters.download.fetch import fetch_shards
from data_filters.download.origin import open_origin
from data_filters.download.plan import plan_shards
from data_filters.download.raw_shard import FILTER
from data_filters.io.files import link_or_copy
from data_filters.io.parquet import part_files, write_batches
from data_filters.ledger import Entry, Tally, merge, read_accounts, write_accounts
from data_filters.metadata.repeats import without_repeats
from data_filters.records import METADATA
from data_filters.source_kinds import LocalSource

STAGE: Final = "download_images"
SOURCE_KEY: Final = "fetch_metadata.source"
# A group may be one bad row. It stops the run before all is fetched only where so few would arrive
# by chance less than once in a million times, were the rate as demanded; the whole is held to it.
SURELY_TOO_FEW: Final = 1e-6
_LOOPBACK: Final = ip_address("127.0.0.1")


def run(
    cfg: DownloadImages,
    *,
    seed: int,
    fetch_metadata: FetchMetadata,
    group: str,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Write the raw shards of one group of rows; see the module's docstring for the layout.

    A killed run continues with the shards that `work` lacks.

    Raises:
        FileNotFoundError: A local source is not where the parameters say.
        RuntimeError: img2dataset failed on a whole shard.
        ValueError: Surely fewer rows arrive than `min_success_rate` demands, or the loopback is
            needed and not allowed.
    """
    source = layout_of(fetch_metadata.source)
    del seed  # what the web answers does not depend on it
    plans = plan_shards(
        _kept(inputs["filter_metadata"], group, work / "kept"), rows_per_shard=cfg.rows_per_shard
    )
    raw = work / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    if isinstance(source, LocalSource):
        copy_shards(source, plans, folder=raw, key=SOURCE_KEY)
    else:
        with ExitStack() as stack:
            origin = None
            if source.kind == "embedded":
                _require_loopback(cfg)
                origin = stack.enter_context(open_origin(inputs["scenes"])).address
            fetch_shards(cfg, plans, folder=raw, origin=origin)
    for plan in plans:
        for suffix in (".tar", ".parquet"):
            link_or_copy(raw / f"{plan.stem}{suffix}", output / "raw" / f"{plan.stem}{suffix}")
    tally = _count(part_files(output / "raw"))
    (entry,) = tally.entries()
    if bdtr(entry.kept, entry.entered, cfg.min_success_rate) < SURELY_TOO_FEW:
        raise _too_few(entry, minimum=cfg.min_success_rate)
    write_accounts(output, [entry])
    return {"rows": entry.entered, "arrived": entry.kept, "shards": len(plans)}


def gather(
    cfg: DownloadImages,
    *,
    seed: int,
    fetch_metadata: FetchMetadata,
    parts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Add up the accounts of all groups.

    Raises:
        ValueError: Fewer rows arrived than `min_success_rate` demands.
    """
    del seed, fetch_metadata, inputs, work  # the groups say all
    (entry,) = merge(read_accounts(folder) for folder in parts.values())
    if entry.kept < cfg.min_success_rate * entry.entered:
        raise _too_few(entry, minimum=cfg.min_success_rate)
    write_accounts(output, [entry])
    return {"rows": entry.entered, "arrived": entry.kept}


def _kept(filtered: Path, group: str, folder: Path) -> list[Path]:
    """Write the group's rows that are to be fetched, part by part."""
    for file in part_files(filtered / group / "kept"):
        if not (folder / file.name).exists():
            rows = without_repeats(file, filtered / "repeated.parquet")
            write_batches(folder / file.name, METADATA, rows)
    return part_files(folder)


def _require_loopback(cfg: DownloadImages) -> None:
    if not any(_LOOPBACK in ip_network(network) for network in cfg.allowed_networks):
        raise ValueError(
            f"{SOURCE_KEY}.kind is embedded, which is served on {_LOOPBACK}: add 127.0.0.0/8 to "
            f"{STAGE}.allowed_networks"
        )


def _count(tables: list[Path]) -> Tally:
    tally = Tally(STAGE, [FILTER])
    for table in tables:
        columns = pq.read_table(table, columns=["filter", "reason"])
        counts = columns.group_by(["filter", "reason"]).aggregate([([], "count_all")])
        for row in counts.to_pylist():
            tally.add(row["filter"], row["reason"], row["count_all"])
    return tally


def _too_few(entry: Entry, *, minimum: float) -> ValueError:
    worst = sorted(entry.reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
    causes = ", ".join(f"{reason} {count}" for reason, count in worst)
    return ValueError(
        f"{STAGE}: {entry.kept} of {entry.entered} rows arrived "
        f"({entry.kept / entry.entered:.1%}), fewer than min_success_rate {minimum:.1%} allows "
        f"(most often {causes}): see whether the network and the DNS resolver hold, or lower "
        f"{STAGE}.min_success_rate"
    )
