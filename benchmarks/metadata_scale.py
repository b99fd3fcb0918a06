"""Metadata at 1e5, 1e6 and 1e7 rows: the stages themselves, and what reading the columns takes.

    python benchmarks/metadata_scale.py [--rows 100000 1000000 10000000] [--folder FOLDER]

A table with the 15 columns of ReLAION-2B-en-research-safe (hashed synthetic values, spread like the
first two parts of the real one; a row in twenty repeats a URL) goes through fetch_metadata,
filter_metadata of one group, and its gathering, by the preset relaion_600m. Each step runs in a
process of its own, on one thread: rows per second of process CPU time, and its peak memory above an
idle process with the same imports. Then, in alternation:

    scan        decode the columns that the numeric rules read, nothing else (the limit)
    passing     count the rows that pass these rules, part by part
    judge       count how many rows break which of these rules, as the stage does for its ledger
    scan_all    decode all columns (the limit of the stage, which copies the rows that pass)
    python_set  a Python set of the URLs
    in_duckdb   rows grouped by URL in DuckDB
    repeats     hashes of row ids that occur again, as the stage finds them
    of_urls     the same of URLs, without the row ids that fetch_metadata has made of them

A stage opens one database for all parts of its group. So passing and judge are measured twice: in
a database that is open, and with opening it. Both have decoded the files once before, as the scan.

Exits with 1 when, at five million rows or more, passing in an open database is not 0.95 of scan
within 130 MB, or repeats not 7 times as fast as the set and 1.7 times as fast as DuckDB within
170 MB.
"""

# ruff: noqa: S608  the SQL is made of our own words

import argparse
import functools
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow.parquet as pq
from measuring import in_turn, paired_ratio, peak_megabytes

from data_filters.base import RuleFilter
from data_filters.config import FetchMetadata
from data_filters.io.database import connect, stream
from data_filters.io.parquet import part_files, scan_sql
from data_filters.metadata.build import build_filters
from data_filters.metadata.judge import judged_sql, named_rules
from data_filters.metadata.repeats import repeated_keys
from data_filters.stages import fetch_metadata, filter_metadata
from workflow.params import DEFAULT_FILE, read, resolve

Connection: TypeAlias = duckdb.DuckDBPyConnection

ROWS_PER_PART = 2_500_000
ROUNDS = 9
NUMERIC = ("punsafe", "pwatermark", "width", "height")
FILTERS = ("unsafe", "watermark", "size", "aspect")
PARAMETERS: Any = resolve(read(DEFAULT_FILE), scale="vit_l_laion600m", variant="franca")
FILTER = PARAMETERS.filter_metadata
TABLE = """
SELECT concat('https://', site, '/images/', left(md5(address::VARCHAR), 24), '/', address, '.jpg')
        AS url,
    array_to_string([word[1 + (hash(i, k) % 12)::INTEGER] FOR k IN range(4 + (h % 9)::INTEGER)],
        ' ') AS caption,
    0.28 + 0.1 * u1 * u1 AS similarity, h::HUGEINT % 1000000007 AS hash,
    (u2 * u2)::FLOAT AS pwatermark, pow(10, -7 + 6 * u3)::FLOAT AS punsafe,
    lpad(i::VARCHAR, 12, '0') AS key, 'success' AS status, NULL::VARCHAR AS error_message,
    least(side, 384)::INTEGER AS width, least(side, 384)::INTEGER AS height,
    side::INTEGER AS original_width, (side * (0.5 + u2))::INTEGER AS original_height,
    '{{}}' AS exif, md5(i::VARCHAR) AS md5
FROM (SELECT i, address, h, u1, u2, u3, 120 + 700 * u1 * u1 + (h % 64) AS side,
    ['photo', 'of', 'the', 'red', 'vintage', 'table', 'set', 'stock', 'image', 'by', 'old', 'new']
        AS word,
    CASE WHEN u1 < 0.5 THEN 'cdn.shop' || (hash(address) % 20) || '.com'
        ELSE 'www.site' || (hash(address) % 200000) || '.org' END AS site
    FROM (SELECT i, hash(i) AS h, (hash(i, 1) % 1000000) / 1e6 AS u1,
        (hash(i, 2) % 1000000) / 1e6 AS u2, (hash(i, 3) % 1000000) / 1e6 AS u3,
        CASE WHEN hash(i, 4) % 20 = 0 THEN i // 2 ELSE i END AS address
        FROM range({start}, {stop}) rows(i)))
"""


def write_table(folder: Path, *, rows: int) -> None:
    """Write the source, a part for every 2.5 million rows."""
    folder.mkdir(parents=True)
    for part, start in enumerate(range(0, rows, ROWS_PER_PART)):
        query = TABLE.format(start=start, stop=min(start + ROWS_PER_PART, rows))
        file = folder / f"part-{part:05d}.snappy.parquet"
        duckdb.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION snappy)")


def fetch(root: Path) -> None:
    """Read the source's tables."""
    fetch_metadata.run(
        _source(root),
        seed=0,
        inputs={"scenes": root},  # not read
        output=_made(root / "fetched"),
        work=_made(root / "work" / "fetch"),
    )


def _source(root: Path) -> FetchMetadata:
    source = {"kind": "url_table", "root": str(root / "source"), "files": "*.parquet"}
    return FetchMetadata.model_validate({"source": source, "groups": 1})


def _filter(root: Path, call: Callable[..., Any], output: Path, **more: Any) -> None:
    call(
        FILTER,
        seed=0,
        fetch_metadata=_source(root),
        inputs={"fetch_metadata": root / "fetched"},
        output=_made(output),
        work=_made(root / "work" / output.name),
        **more,
    )


def filter_group(root: Path) -> None:
    """Judge all rows, write verdicts and kept rows."""
    group = root / "filtered" / "group-000"
    shutil.rmtree(group, ignore_errors=True)
    _filter(root, filter_metadata.run, group, group="group-000")


def gather(root: Path) -> None:
    """Find repeated URLs among the kept rows."""
    parts = {"group-000": root / "filtered" / "group-000"}
    _filter(root, filter_metadata.gather, root / "filtered", parts=parts)


def idle(root: Path) -> None:
    """Open a database, and import what the first batch imports."""
    with connect(_made(root / "work" / "idle")) as connection:
        for batch in stream(connection, "SELECT 1 AS one"):
            batch["one"].to_numpy()  # imports pandas, a second


def scan(root: Path) -> None:
    """Decode four numeric columns, a row group at a time."""
    for file in _parts(root):
        with pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                table.read_row_group(group, columns=list(NUMERIC), use_threads=False)


def scan_all(root: Path) -> None:
    """Decode all columns, a row group at a time."""
    for file in _parts(root):
        with pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                table.read_row_group(group, use_threads=False)


def opening(step: Callable[[Path, Connection], None]) -> Callable[[Path], None]:
    """Let a step open its database."""

    @functools.wraps(step)
    def opened(root: Path) -> None:
        with connect(_made(root / "work" / step.__name__)) as connection:
            step(root, connection)

    return opened


def passing(root: Path, connection: Connection) -> None:
    """Count the rows that break no numeric rule."""
    conditions = " AND ".join(str(each.surely_kept()) for each in _numeric_filters())
    for file in _parts(root):
        connection.sql(f"SELECT count(*) FROM {scan_sql([file])} WHERE {conditions}").fetchall()


def judge(root: Path, connection: Connection) -> None:
    """Evaluate every numeric rule on every row, and count the combinations."""
    rules = named_rules(_numeric_filters())
    for file in _parts(root):
        judged = judged_sql(f"SELECT {', '.join(NUMERIC)} FROM {scan_sql([file])}", rules)
        connection.sql(f"SELECT broken, count(*) FROM ({judged}) GROUP BY broken").fetchall()


def _numeric_filters() -> list[RuleFilter]:
    filters = build_filters(FILTER, seed=0)
    return [each for each in filters if each.name in FILTERS]


def python_set(root: Path) -> None:
    """Find repeated URLs as one does without thinking."""
    seen: set[str] = set()
    repeated = 0
    for file in _parts(root):
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(columns=["url"]):
                for url in batch["url"].to_pylist():
                    repeated += url in seen
                    seen.add(url)


def in_duckdb(root: Path) -> None:
    """Find repeated URLs as one does in SQL."""
    with connect(_made(root / "work" / "duckdb")) as connection:
        connection.sql(
            f"SELECT url FROM {scan_sql(_parts(root))} GROUP BY url HAVING count(*) > 1"
        ).fetchnumpy()


def repeats(root: Path) -> None:
    """Find repeated row ids by their hashes."""
    with connect(_made(root / "work" / "repeats")) as connection:
        repeated_keys(connection, _parts(root))


def of_urls(root: Path) -> None:
    """Find repeated URLs by their hashes."""
    with connect(_made(root / "work" / "urls")) as connection:
        repeated_keys(connection, _parts(root), column="url")


def read_urls(root: Path) -> None:
    """Only read the URLs."""
    with connect(_made(root / "work" / "urls")) as connection:
        for _ in stream(connection, f"SELECT hash(url) AS key FROM {scan_sql(_parts(root))}"):
            pass


def _parts(root: Path) -> list[Path]:
    return part_files(root / "fetched" / "parts")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _child(step: Callable[[Path], None], root: Path, *, warm: bool) -> tuple[float, float]:
    os.environ |= {"FRANCA_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # DuckDB's progress bar
    idle(root)
    if warm:
        step(root)
    start = time.process_time()
    step(root)
    return time.process_time() - start, peak_megabytes()


def measure(step: Callable[[Path], None], root: Path, *, warm: bool = False) -> tuple[float, float]:
    """Run a step in a fresh process; return its CPU seconds and its peak memory in MB.

    A warm one has run it once before: its code is loaded, and the file lies in the page cache.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(functools.partial(_child, step, root, warm=warm))


def _against_scan(root: Path, rounds: int, name: str) -> tuple[float, float, float]:
    """Time a step against the scan, in turn: medians of ratios without and with opening; the peak.

    The peak is that of the step before anything is scanned by pyarrow, above an open database's.
    """
    os.environ |= {"FRANCA_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    step = {"passing": passing, "judge": judge}[name]
    idle(root)
    before = peak_megabytes()
    opening(step)(root)
    peak = peak_megabytes() - before
    with connect(_made(root / "work" / "open")) as connection:
        forms: dict[str, Callable[[], object]] = {
            "scan": functools.partial(scan, root),
            "open": functools.partial(step, root, connection),
            "opening": functools.partial(opening(step), root),
        }
        seconds = in_turn(forms, rounds=rounds)
    opened, opening_too = (
        paired_ratio(seconds["scan"], seconds[form]) for form in ("open", "opening")
    )
    return opened, opening_too, peak


def compare_with_scan(root: Path, name: str, *, rounds: int) -> tuple[float, float]:
    """Print what `_against_scan` measures in a process of its own; return ratio and peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ratio, opened, peak = pool.apply(_against_scan, (root, rounds, name))
    print(
        f"  {name} against scan: {ratio:.2f} times as fast in an open database, {opened:.2f} with "
        f"opening it, {peak:.0f} MB"
    )
    return ratio, peak


def compare(
    ours: Callable[[Path], None], theirs: Callable[[Path], None], root: Path, *, repeats: int
) -> tuple[float, float, float]:
    """Return the median of paired ratios theirs / ours, and both peaks of memory above idle, MB."""
    _, base = measure(idle, root)
    pairs = [
        tuple(measure(step, root, warm=True) for step in (ours, theirs)) for _ in range(repeats)
    ]
    ratio = statistics.median(peer[0] / own[0] for own, peer in pairs)
    mine, peers = (max(pair[side][1] for pair in pairs) - base for side in (0, 1))
    return ratio, mine, peers


def run(rows: int, root: Path, *, repeats_of_pairs: int) -> bool:
    """Measure one size; return whether the claims hold."""
    write_table(root / "source", rows=rows)
    size = sum(file.stat().st_size for file in (root / "source").iterdir())
    print(f"\n{rows:,} rows, {size / rows:.0f} bytes a row")
    _made(root / "fetched")
    for step in (fetch, filter_group, gather, scan_all):
        seconds, peak = measure(step, root)
        _, base = measure(idle, root)
        print(f"  {step.__name__:14} {rows / seconds / 1e6:6.2f} M rows/s  {peak - base:6.0f} MB")
    compare_with_scan(root, "judge", rounds=ROUNDS)
    ratio, peak = compare_with_scan(root, "passing", rounds=ROUNDS)
    claims = [ratio >= 0.95 and peak <= 130]
    for ours, theirs, least, most in (
        (filter_group, scan_all, 0, np.inf),
        (repeats, python_set, 7.0, 170),
        (repeats, in_duckdb, 1.7, 170),
        (of_urls, python_set, 0, np.inf),
        (of_urls, read_urls, 0, np.inf),
    ):
        ratio, own, peer = compare(ours, theirs, root, repeats=repeats_of_pairs)
        print(
            f"  {ours.__name__} against {theirs.__name__}: {ratio:.2f} times as fast, "
            f"{own:.0f} and {peer:.0f} MB"
        )
        claims.append(ratio >= least and own <= most)
    return all(claims) or rows < 5_000_000


def main() -> int:
    """Measure every size; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=3, help="paired measurements")
    parser.add_argument("--folder", type=Path, help="where tables go; default: a temporary folder")
    arguments = parser.parse_args()
    print(f"numpy {np.__version__}, duckdb {duckdb.__version__}, one thread")
    good = True
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            good &= run(rows, Path(folder), repeats_of_pairs=arguments.repeats)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
