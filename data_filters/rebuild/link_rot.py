"""What became of each image of a selection: the same, changed, or gone for which reason."""

# ruff: noqa: S608  the SQL is made of our own words; file names go through sql_text

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa

from data_filters.download.raw_shard import MISMATCH
from data_filters.download.reasons import UNREACHED
from data_filters.io.database import stream
from data_filters.io.parquet import scan_sql, sql_text
from data_filters.records import KEY_LENGTH

SAME, CHANGED, GONE = "same", "changed", "gone"

_VERDICT: Final = (
    f"CASE WHEN fetched.kept THEN '{SAME}' WHEN fetched.reason = {sql_text(MISMATCH)} "
    f"THEN '{CHANGED}' ELSE '{GONE}' END"
)


class Summary(NamedTuple):
    """The link rot of a selection.

    Attributes:
        rows: Images of the selection.
        same: Images whose original bytes came again.
        changed: Addresses that hand over another image now.
        gone: Images lost, by reason.
        encoded_otherwise: Of the same, those that this machine's libraries shrank to other bytes.
    """

    rows: int
    same: int
    changed: int
    gone: dict[str, int]
    encoded_otherwise: int

    @property
    def share_same(self) -> float:
        """Share of the selection that is still what it was."""
        return self.same / self.rows


def declare_fetched(
    connection: duckdb.DuckDBPyConnection, manifest: Path, raw: Sequence[Path]
) -> None:
    """Name the tables `published` and `fetched`."""
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW published AS SELECT * FROM {scan_sql([manifest])}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW fetched AS SELECT * FROM {scan_sql(raw, filename=True)}"
    )


def nobody_answered(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether every image is lost for the sole reason that its host could not be reached."""
    reasons = ", ".join(map(sql_text, sorted(UNREACHED)))
    query = f"SELECT bool_and(NOT kept AND reason IN ({reasons})) FROM fetched"
    return bool(connection.sql(query).fetchall()[0][0])


def link_rot(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `records.LINK_ROT`, in the order of shards and published hashes."""
    yield from stream(
        connection,
        f"SELECT row_id, url, published.shard, {_VERDICT} AS verdict, "
        f"CASE WHEN {_VERDICT} = '{GONE}' THEN fetched.reason END AS reason, fetched.detail, "
        "published.sha256, fetched.sha256 AS found_sha256 "
        "FROM published JOIN fetched USING (row_id) ORDER BY published.shard, published.sha256",
    )


def same_images(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """Yield the images that came again as rows of `records.PACKED`, in the order of shards."""
    yield from stream(
        connection,
        f"SELECT left(fetched.sha256, {KEY_LENGTH}) AS key, row_id, url, caption, fetched.sha256, "
        "fetched.original_md5, width, height, extension, "
        "regexp_replace(fetched.filename, '[.]parquet$', '.tar') AS tar, "
        "fetched.offset, fetched.size, published.shard "
        "FROM published JOIN fetched USING (row_id) WHERE fetched.kept "
        "ORDER BY published.shard, fetched.sha256",
    )


def summarise(connection: duckdb.DuckDBPyConnection, table: Path) -> Summary:
    """Count the verdicts of a table of link rot."""
    counts = connection.sql(
        f"SELECT verdict, reason, count(*), count(*) FILTER (sha256 <> found_sha256) "
        f"FROM {scan_sql([table])} GROUP BY verdict, reason ORDER BY verdict, reason"
    ).fetchall()
    return Summary(
        rows=sum(n for _, _, n, _ in counts),
        same=sum(n for verdict, _, n, _ in counts if verdict == SAME),
        changed=sum(n for verdict, _, n, _ in counts if verdict == CHANGED),
        gone={reason: n for verdict, reason, n, _ in counts if verdict == GONE},
        encoded_otherwise=sum(n for *_, n in counts),
    )
