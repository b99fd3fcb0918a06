"""DuckDB connections: order kept, rows streamed, remote roots read."""

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io import database
from data_filters.io.database import ask, connect, stream
from data_filters.io.processes import MEMORY_VARIABLE, VARIABLE


def test_rows_come_in_batches_and_in_order(tmp_path):
    with connect(tmp_path) as connection:
        batches = list(stream(connection, "SELECT i FROM range(200000) t(i) ORDER BY i"))
    assert len(batches) > 1
    assert pa.Table.from_batches(batches)["i"].to_pylist() == list(range(200_000))


def test_a_scan_keeps_the_order_of_the_file_on_several_threads(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "4")
    numbers = pa.table({"row": pa.array(range(600_000))})
    pq.write_table(numbers, tmp_path / "rows.parquet", row_group_size=10_000)
    query = f"SELECT row FROM read_parquet('{tmp_path}/rows.parquet') WHERE hash(row) % 3 > 0"
    with connect(tmp_path) as connection:
        rows = pa.Table.from_batches(stream(connection, query))["row"].to_pylist()
    assert 300_000 < len(rows) < 500_000
    assert rows == sorted(rows)


def test_it_spills_to_the_folder_given(tmp_path):
    with connect(tmp_path) as connection:
        (place,) = connection.sql("SELECT current_setting('temp_directory')").fetchall()[0]
    assert place == str(tmp_path / "spill")


def test_its_memory_is_bounded_and_what_does_not_fit_is_spilt(tmp_path, monkeypatch):
    monkeypatch.setenv(MEMORY_VARIABLE, "100")
    query = "SELECT max(n) FROM (SELECT x, count(*) AS n FROM range(4000000) t(x) GROUP BY x)"
    with connect(tmp_path) as connection:
        (limit,) = connection.sql("SELECT current_setting('memory_limit')").fetchall()[0]
        assert connection.sql(query).fetchall() == [(1,)]  # 4 million groups of 16 bytes and more
    assert limit == "57.2 MiB"


def test_a_remote_root_can_be_read(tmp_path):
    with fsspec.filesystem("memory").open("/db/a.parquet", "wb") as file:
        pq.write_table(pa.table({"x": [1, 2]}), file)
    with connect(tmp_path, root="memory://db") as connection:
        rows = connection.sql("SELECT sum(x) FROM read_parquet('memory:///db/a.parquet')")
        assert rows.fetchall() == [(3,)]


def test_small_questions_are_asked_in_the_database_that_is_open(tmp_path, monkeypatch):
    opened, place = [], "SELECT current_setting('temp_directory')"
    open_one = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda **how: opened.append(how) or open_one(**how))
    monkeypatch.setattr(database, "_homeless", database.cache(database._homeless.__wrapped__))
    with connect(tmp_path) as connection:
        rows = stream(connection, "SELECT i FROM range(200000) t(i)")
        first = next(rows).num_rows
        assert ask(place) == [(str(tmp_path / "spill"),)]
        assert first + sum(batch.num_rows for batch in rows) == 200_000
    assert len(opened) == 1
    assert ask("SELECT ?::INTEGER + 1", [1]) == [(2,)]
    assert ask(place) == [("",)]
    assert len(opened) == 2
    with pytest.raises(duckdb.Error, match="no_such"):
        ask("SELECT no_such")
