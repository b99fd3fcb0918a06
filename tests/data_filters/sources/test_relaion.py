"""Tables of URLs, whatever their relatives call the columns."""

import hashlib

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io.database import connect
from data_filters.records import METADATA, content_id
from data_filters.sources.relaion import column_map, read_part


def read(file, tmp_path, *, part=3, root=None):
    with connect(tmp_path, root=root) as connection:
        return pa.Table.from_batches(read_part(connection, str(file), part=part)).cast(METADATA)


def test_relaions_own_columns(tmp_path):
    file = tmp_path / "part.parquet"
    table = pa.table(
        {
            "url": ["https://b.org/1.jpg", "https://a.org/2.jpg"],
            "caption": ["one", None],
            "similarity": [0.3, 0.4],
            "hash": [1, 2],
            "pwatermark": pa.array([0.5, None], pa.float32()),
            "punsafe": pa.array([0.01, 0.02], pa.float32()),
            "status": ["success", "failed_to_download"],
            "width": [256, None],
            "height": [170, None],
            "original_width": [1200, None],
            "original_height": [800, None],
            "md5": ["0" * 32, None],
        }
    )
    pq.write_table(table, file)
    first, second = read(file, tmp_path).to_pylist()
    assert first == {
        "row_id": content_id("https://b.org/1.jpg"),
        "part": 3,
        "row": 0,
        "url": "https://b.org/1.jpg",
        "path": None,
        "caption": "one",
        "width": 1200,
        "height": 800,
        "similarity": 0.3,
        "punsafe": pytest.approx(0.01),
        "pwatermark": 0.5,
        "status": "success",
        "md5": "0" * 32,
    }
    assert (second["row"], second["caption"], second["pwatermark"]) == (1, None, None)


def test_laions_columns_as_text_are_converted_or_null(tmp_path):
    file = tmp_path / "part.parquet"
    pq.write_table(
        pa.table({"URL": ["u", None], "TEXT": ["t", "t"], "WIDTH": ["640", "wide"]}), file
    )
    first, second = read(file, tmp_path).to_pylist()
    assert (first["url"], first["caption"], first["width"], first["height"]) == (
        "u",
        "t",
        640,
        None,
    )
    assert (second["url"], second["width"], second["row_id"]) == (None, None, content_id(""))


def test_names_of_the_relatives_are_known():
    coco = column_map({"URL", "top_caption", "punsafe", "all_captions"}, file="f")
    assert (coco["url"], coco["caption"], coco["punsafe"]) == ("URL", "top_caption", "punsafe")
    assert coco["md5"] is None
    with pytest.raises(ValueError, match="f: no column named url or URL among link, text"):
        column_map({"link", "text"}, file="f")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    file = tmp_path / "part.parquet"
    file.write_bytes(b"<html>quota exceeded</html>" * 10)
    with pytest.raises(ValueError, match=r"part\.parquet: not readable as parquet.*fetch it again"):
        read(file, tmp_path)


def test_remote_parts_are_read_through_fsspec(tmp_path):
    with fsspec.filesystem("memory").open("/relaion/part-0.parquet", "wb") as file:
        pq.write_table(pa.table({"url": ["https://a.org/1.jpg"]}), file)
    table = read("memory://relaion/part-0.parquet", tmp_path, root="memory://relaion")
    assert table["url"].to_pylist() == ["https://a.org/1.jpg"]


@pytest.mark.shared
def test_real_rows_keep_their_order_and_their_ids_are_hashes(shared_data, tmp_path):
    file = shared_data / "laion_sample" / "metadata.parquet"
    urls = pq.read_table(file, columns=["URL"])["URL"].to_pylist()
    table = read(file, tmp_path)
    assert table["url"].to_pylist() == urls
    assert table["row"].to_pylist() == list(range(10_000))
    expected = [hashlib.sha256(f"franca/row/{url}".encode()).hexdigest()[:32] for url in urls]
    assert table["row_id"].to_pylist() == expected
    assert len(set(expected)) == len(set(urls)) == 9_999
