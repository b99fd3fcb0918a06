"""Which images stay: a table of those that do not, each with the image it was dropped for.

Tables of a database that spills, over the table `images` on disk; each row of them is an image that
goes, so they are as long as there are copies and leaks.
"""

# ruff: noqa: S608  the SQL is made of our own words and numbers

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from data_filters.dedup.components import Indices
from data_filters.dedup.leakage import REASONS, Leaks
from data_filters.io.database import stream
from data_filters.io.parquet import ROWS_PER_GROUP, scan_sql

LEAK, DUPLICATE = "evaluation_sets", "duplicates"
LINKED: Final = "copy_of_leak"
"""Reason of an image that matches no evaluation image itself, but a training image that does."""

_MEMBERS: Final = """
CREATE TEMP VIEW members AS
SELECT big AS place, small AS first FROM edges UNION ALL SELECT DISTINCT small, small FROM edges
"""
"""Images of groups of several, and the first image of the group."""

_TABLES: Final = """
CREATE TEMP TABLE dropped (place BIGINT, match BIGINT, reason VARCHAR);
CREATE TEMP TABLE leaks (place BIGINT, match BIGINT, reason VARCHAR);
"""

_LINKED: Final = f"""
CREATE TEMP TABLE linked AS
WITH leaked AS (
    SELECT first, min(place) AS match FROM members JOIN leaks USING (place) GROUP BY first
)
SELECT place, leaked.match, '{LINKED}' AS reason
FROM members JOIN leaked USING (first) ANTI JOIN leaks USING (place)
"""

_EXPLAINED: Final = f"""
CREATE TEMP TABLE explained AS
WITH named AS (
    SELECT * FROM (
        SELECT *, '{LEAK}' AS filter FROM linked
        UNION ALL SELECT *, '{DUPLICATE}' FROM dropped
        ANTI JOIN leaks USING (place) ANTI JOIN linked USING (place)
    )
)
SELECT named.place, filter, reason, lower(hex(row_id)) AS detail
FROM named JOIN images ON images.place = named.match
UNION ALL
SELECT leaks.place, '{LEAK}', reason, evaluation.name
FROM leaks JOIN evaluation ON evaluation.place = leaks.match
"""
"""A leak goes for an evaluation image, everything else for an image of the training data."""


def open_tables(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> None:
    """Create the table `images` of some files, and begin with nothing dropped.

    Args:
        connection: A database with a table `edges`.
        files: Tables of `gathering.IMAGE`.
    """
    connection.execute(f"CREATE TEMP VIEW images AS SELECT * FROM {scan_sql(files)}")
    connection.execute(_MEMBERS)
    connection.execute(_TABLES)


def drop_copies(connection: duckdb.DuckDBPyConnection, *, reason: str) -> None:
    """Drop all but the best image of each group, of what was not dropped before.

    The best has the most pixels, then the most bytes: the least was lost. Ties are settled by
    content, never by the order in which images came.
    """
    connection.execute(
        f"INSERT INTO dropped SELECT place, best, '{reason}' FROM (SELECT place, "
        "first_value(place) OVER (PARTITION BY first ORDER BY "
        "area DESC, size DESC, sha256, row_id, place) AS best "
        "FROM members JOIN images USING (place)) "
        "ANTI JOIN dropped USING (place) WHERE place <> best"
    )


def by_content(
    connection: duckdb.DuckDBPyConnection, file: Path, *, without: Sequence[str]
) -> Indices:
    """Write down the images in an order that depends on content alone.

    Args:
        connection: The database.
        file: The .npy file to write; it is mapped, not read.
        without: Reasons; images dropped for one of them are left out.
    """
    gone = ", ".join(f"'{reason}'" for reason in without)
    left = f"images ANTI JOIN (FROM dropped WHERE reason IN ({gone})) USING (place)"
    number = connection.sql(f"SELECT count(*) FROM {left}").fetchall()[0][0]
    order: Indices = np.lib.format.open_memmap(file, "w+", np.dtype(np.int64), (number,))
    first = 0
    query = f"SELECT place FROM {left} ORDER BY sha256, row_id, place"
    for batch in stream(connection, query):
        order[first : first + batch.num_rows] = batch["place"].to_numpy()
        first += batch.num_rows
    return order


def drop_pairs(
    connection: duckdb.DuckDBPyConnection, images: Indices, kept: Indices, *, reason: str
) -> None:
    """Drop images, each for the sake of another one."""
    _insert(connection, "dropped", images, kept, np.full(len(images), reason))


def add_leaks(connection: duckdb.DuckDBPyConnection, leaks: Leaks, *, first: int) -> None:
    """Drop images for the sake of evaluation images.

    Args:
        connection: The database.
        leaks: What a `LeakFinder` found among some images.
        first: Place of the first of them.
    """
    reasons = np.array(REASONS)[leaks.reasons]
    _insert(connection, "leaks", leaks.images + first, leaks.matches, reasons)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    places: Indices,
    matches: Indices,
    reasons: np.ndarray,
) -> None:
    rows = pa.table({"place": places, "match": matches, "reason": pa.array(reasons, pa.string())})
    connection.register("rows", rows)
    connection.execute(f"INSERT INTO {table} SELECT place, match, reason FROM rows")
    connection.unregister("rows")


def explain(connection: duckdb.DuckDBPyConnection, places: pa.Array) -> None:
    """Settle what every dropped image goes for, in a table `explained`.

    A leak takes its whole group along: the other members are its copies.

    Args:
        connection: The database.
        places: Names of the evaluation images.
    """
    evaluation = pa.table({"place": np.arange(len(places)), "name": places})
    connection.register("evaluation", evaluation)
    connection.execute(_LINKED)
    connection.execute(_EXPLAINED)
    connection.unregister("evaluation")


def verdicts(
    connection: duckdb.DuckDBPyConnection, file: Path, places: range
) -> Iterator[pa.RecordBatch]:
    """Yield rows of `records.VERDICT` on the images of one file, in their order.

    Args:
        connection: The database.
        file: Table of the images.
        places: Theirs.
    """
    for start in range(places.start, places.stop, ROWS_PER_GROUP):
        here = f"place >= {start} AND place < {start + ROWS_PER_GROUP}"
        yield from stream(
            connection,
            "SELECT lower(hex(row_id)) AS row_id, filter IS NULL AS kept, filter, reason, detail "
            f"FROM (SELECT place, row_id FROM {scan_sql([file])} WHERE {here}) "
            f"LEFT JOIN (SELECT * FROM explained WHERE {here}) USING (place) ORDER BY place",
        )


def counts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int]]:
    """Count dropped images by filter and reason."""
    query = "SELECT filter, reason, count(*) FROM explained GROUP BY ALL ORDER BY ALL"
    return [
        (str(name), str(reason), int(rows))
        for name, reason, rows in connection.sql(query).fetchall()
    ]
