"""Texts that are not UTF-8 become null; all else stays as it is."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.sources.invalid_text import batches_of_valid_text


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())]
)
def test_rows_from_any_position_on(monkeypatch, kind, start):
    monkeypatch.setattr("data_filters.sources.invalid_text.ROWS_PER_BATCH", 3)
    texts = pa.array([b"a", b"\xc3", None, "ü".encode()], pa.binary())
    file = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2, 3, 4], "text": texts.cast(kind)}), file)
    rows = pa.Table.from_batches(batches_of_valid_text(file, ["text", "n"], start=start))
    assert (
        rows.to_pylist()
        == [
            {"text": "a", "n": 1, "file_row_number": 0},
            {"text": None, "n": 2, "file_row_number": 1},
            {"text": None, "n": 3, "file_row_number": 2},
            {"text": "ü", "n": 4, "file_row_number": 3},
        ][start:]
    )
