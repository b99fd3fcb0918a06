"""The ledger must match the funnel, row for row."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.ledger import Entry, LedgerError
from data_filters.pack.books import PACK, check_ledger, pack_entry
from data_filters.records import LEDGER

FUNNEL = [
    Entry(stage="fetch_metadata", filter="read", entered=4),
    Entry(stage="filter_images", filter="shape", entered=4, reasons={"small": 2}),
    *pack_entry(2),
]


def rows(*fates):
    keys = ("stage", "filter", "reason", "verdict")
    return [
        {
            "part": 0,
            "row": number,
            "row_id": str(number),
            "shard": 0 if fate in (KEPT, MISNAMED) else None,
            **dict(zip(keys, fate, strict=True)),
        }
        for number, fate in enumerate(fates)
    ]


KEPT = (PACK, None, None, "kept")
UNPLACED = ("elsewhere", None, None, "kept")
MISNAMED = (PACK, None, None, "stays")
SMALL = ("filter_images", "shape", "small", "dropped")


def check(tmp_path, *fates):
    pq.write_table(pa.Table.from_pylist(rows(*fates), schema=LEDGER), tmp_path / "l.parquet")
    with duckdb.connect() as connection:
        check_ledger(connection, tmp_path / "l.parquet", FUNNEL)


def test_a_ledger_that_adds_up(tmp_path):
    check(tmp_path, KEPT, SMALL, KEPT, SMALL)


@pytest.mark.parametrize(
    ("fates", "message"),
    [
        ([KEPT, SMALL, KEPT], r"ledger and funnel differ.*small"),
        (
            [KEPT, SMALL, KEPT, KEPT, SMALL],
            "ledger has 5 rows, 3 kept, 3 in a shard; the",
        ),
        ([KEPT, SMALL, UNPLACED, SMALL], "ledger has 4 rows, 2 kept, 1 in a shard"),
        ([KEPT, SMALL, MISNAMED, SMALL], "ledger has 4 rows, 1 kept, 2 in a shard"),
        ([KEPT, SMALL, KEPT, SMALL, (PACK, None, None, "lost")], "ledger has 5 rows, 2 kept, 2 in"),
        ([KEPT, SMALL, KEPT, (*SMALL[:2], "large", "dropped")], "large"),
        ([KEPT, SMALL, SMALL, ("lost before x", None, None, "dropped")], "lost before x"),
    ],
)
def test_a_ledger_that_does_not(tmp_path, fates, message):
    with pytest.raises(LedgerError, match=message):
        check(tmp_path, *fates)
