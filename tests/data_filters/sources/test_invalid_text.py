"""One text that is not UTF-8 costs that text, and not the part it is in."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io.database import ROWS_PER_BATCH
from tests.data_filters.sources.test_url_table import read

ROWS = 2 * ROWS_PER_BATCH + 100


def texts(values):
    """Make a column of texts that nobody has checked."""
    raw = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])


@pytest.mark.parametrize("kind", ["string", "binary", "dictionary"])
@pytest.mark.parametrize("bad", [0, ROWS - 1])
def test_a_text_that_is_not_utf8_is_null(tmp_path, caplog, kind, bad):
    urls = [f"http://a.org/{row}".encode() for row in range(ROWS)]
    captions = [b"caf\xc3\xa9"] * ROWS
    captions[bad] = b"caf\xe9"
    column = texts(captions)
    if kind != "string":
        column = column.cast(pa.binary())
    if kind == "dictionary":
        column = column.dictionary_encode()
    table = pa.table({"url": texts(urls), "caption": column, 'a "b"': range(ROWS)})
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=50_000)
    found = read(tmp_path, tmp_path, columns={"url": "url", "caption": "caption", "width": 'a "b"'})
    assert found["row"].to_pylist() == found["width"].to_pylist() == list(range(ROWS))
    assert found["url"].to_pylist() == [url.decode() for url in urls]
    wrong = [row for row, text in enumerate(found["caption"].to_pylist()) if text != "café"]
    assert wrong == [bad]
    assert found["caption"][bad].as_py() is None
    assert "part.parquet: " in caplog.text
    assert "taken for missing" in caplog.text
