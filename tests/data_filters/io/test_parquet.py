"""Parquet bytes follow from the rows alone."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io import parquet
from data_filters.io.parquet import (
    ParquetWriter,
    iterate_rows,
    num_rows,
    read_slice,
    sql_text,
    write_batches,
    write_rows,
)

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string())])


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 10)


def batch(start, stop):
    return pa.RecordBatch.from_pydict(
        {"number": list(range(start, stop)), "text": [f"t{n}" for n in range(start, stop)]},
        schema=SCHEMA,
    )


@pytest.mark.parametrize("cuts", [[0, 35], [0, 1, 2, 34, 35], [0, 10, 20, 30, 35], [0, 9, 11, 35]])
def test_how_rows_arrive_leaves_no_trace(tmp_path, cuts):
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    write_batches(whole, SCHEMA, [batch(0, 35)])
    batches = [batch(start, stop) for start, stop in pairwise(cuts)]
    assert write_batches(cut, SCHEMA, batches) == 35
    assert cut.read_bytes() == whole.read_bytes()
    groups = pq.read_metadata(whole)
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [10, 10, 10, 5]


@pytest.mark.parametrize(("start", "stop"), [(0, 35), (0, 1), (9, 11), (10, 20), (34, 35), (5, 5)])
def test_a_slice_is_what_the_whole_table_holds_there(tmp_path, start, stop):
    file = tmp_path / "file.parquet"
    write_batches(file, SCHEMA, [batch(0, 35)])
    rows = read_slice(file, ["number"], start=start, stop=stop)
    assert rows.to_pydict() == {"number": list(range(start, stop))}


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_rows(tmp_path / "empty.parquet", SCHEMA, [])
    assert num_rows(tmp_path / "empty.parquet") == 0
    assert pq.read_schema(tmp_path / "empty.parquet") == SCHEMA


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail_half_way():
        with ParquetWriter(tmp_path / "file.parquet", SCHEMA) as writer:
            writer.write(batch(0, 35))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_rows_of_several_files_come_in_order(tmp_path):
    for name, (start, stop) in {"a": (0, 12), "b": (12, 15)}.items():
        write_batches(tmp_path / f"{name}.parquet", SCHEMA, [batch(start, stop)])
    rows = iterate_rows(parquet.part_files(tmp_path), ["number"])
    assert [row["number"] for row in rows] == list(range(15))


def test_quotes_in_sql_texts_are_escaped():
    assert sql_text("it's") == "'it''s'"
