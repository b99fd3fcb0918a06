"""What is refused before anything is fetched."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.rebuild.selection import check_selection, is_embedded, rows_to_fetch
from data_filters.records import MANIFEST, METADATA

ROW = {
    "key": "k", "row_id": "r", "url": "https://a.org/1.jpg", "caption": None, "sha256": "s",
    "original_md5": "m", "shard": 0, "width": 3, "height": 2,
}  # fmt: skip


@pytest.fixture
def manifest(tmp_path):
    def write(*rows, without=()):
        table = pa.Table.from_pylist([{**ROW, **row} for row in rows], schema=MANIFEST)
        pq.write_table(table.drop_columns(list(without)), tmp_path / "m.parquet")
        return tmp_path / "m.parquet"

    return write


@pytest.mark.parametrize(
    ("rows", "without", "message"),
    [
        ((), (), "holds no rows"),
        (({"url": "cats/1.jpg"}, {"row_id": "q", "url": "a/https://b.org"}), (), "2 of 2 rows"),
        (({"url": "cats/1.jpg"}, {"row_id": "q"}), (), "1 of 2 rows have a path instead of a URL"),
        (({}, {}), (), "1 row ids are there twice and 0 rows lack"),
        (({"original_md5": None},), (), "0 row ids are there twice and 1 rows lack"),
        (
            ({"shard": None}, {"row_id": "q", "shard": -1}),
            (),
            "0 row ids are there twice and 2 rows",
        ),
        (({},), ("sha256", "original_md5"), "has no column sha256, original_md5; give the"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(manifest, rows, without, message):
    with duckdb.connect() as connection, pytest.raises(ValueError, match=message):
        check_selection(connection, manifest(*rows, without=without))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "m.parquet").write_text("row_id,url")
    with (
        duckdb.connect() as connection,
        pytest.raises(ValueError, match=r"m.parquet: cannot be re"),
    ):
        check_selection(connection, tmp_path / "m.parquet")


def test_a_column_of_another_type_is_refused_before_all_is_fetched(manifest):
    file = manifest({})
    table = pq.read_table(file)
    place = table.schema.get_field_index("shard")
    pq.write_table(table.set_column(place, "shard", pa.array(["first"])), file)
    refused = pytest.raises(ValueError, match="column shard is VARCHAR, not INTEGER; give the")
    with duckdb.connect() as connection, refused:
        check_selection(connection, file)


@pytest.mark.parametrize(
    ("column", "reader"), [("url", check_selection), ("caption", rows_to_fetch)]
)
def test_damage_is_one_line_about_the_manifest(manifest, column, reader):
    """The caption is read by the second pass only."""
    file = manifest({"caption": "a cat"})
    data = bytearray(file.read_bytes())
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(MANIFEST.get_field_index(column))
    start = chunk.dictionary_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.write_bytes(data)
    with duckdb.connect() as connection, pytest.raises(ValueError, match="cannot be read") as error:
        list(reader(connection, file) or ())
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_rows_become_metadata_in_their_order(manifest):
    file = manifest({}, {"row_id": "q", "url": "http://{origin}/2.jpg", "original_md5": "n"})
    with duckdb.connect() as connection:
        check_selection(connection, file)
        assert is_embedded(connection, file)
        (batch,) = rows_to_fetch(connection, file)
    one, two = pa.Table.from_batches([batch]).select(METADATA.names).cast(METADATA).to_pylist()
    assert [(row["row"], row["row_id"], row["md5"]) for row in (one, two)] == [
        (0, "r", "m"),
        (1, "q", "n"),
    ]
    assert (one["url"], one["width"], one["punsafe"]) == ("https://a.org/1.jpg", 3, None)
