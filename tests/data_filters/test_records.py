"""Names of rows."""

import duckdb
import pytest

from data_filters.records import (
    KEY_LENGTH,
    METADATA,
    METADATA_VERDICT,
    VERDICT,
    content_id,
    content_id_sql,
)


@pytest.mark.parametrize("address", ["https://a.org/x.jpg", "", "http://ü.de/é?q='", "train/1.png"])
def test_sql_and_python_name_a_row_alike(address):
    query = f"SELECT {content_id_sql('address')} FROM (SELECT ? AS address)"
    assert duckdb.execute(query, [address]).fetchall() == [(content_id(address),)]


def test_a_row_id_is_128_bits_and_never_changes():
    assert content_id("https://a.org/x.jpg") == "545b8612d481cdc15270a20e6123e147"
    assert len(content_id("x")) == KEY_LENGTH


def test_metadata_verdicts_name_rows_by_position():
    assert METADATA_VERDICT.names == ["part", "row", "kept", "filter", "reason", "broken"]
    assert set(METADATA_VERDICT.names[:2]) <= set(METADATA.names)
    assert set(METADATA_VERDICT.names[2:5]) <= set(VERDICT.names)
