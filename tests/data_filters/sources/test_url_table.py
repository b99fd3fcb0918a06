"""Tables of URLs, whatever their relatives call the columns."""

import hashlib

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.catalogue import lookup
from data_filters.io.database import connect
from data_filters.records import METADATA, content_id
from data_filters.sources.url_table import column_map, read_part
from tests.data_filters.sources.conftest import spoil_page


def read(root, tmp_path, *, name="part.parquet", part=3, columns=None):
    with connect(tmp_path / "work", root=str(root)) as connection:
        batches = read_part(
            connection, root=str(root), name=name, part=part, columns=columns, key="source"
        )
        return pa.Table.from_batches(batches).cast(METADATA)


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
    first, second = read(tmp_path, tmp_path).to_pylist()
    assert first == {
        "row_id": content_id("https://b.org/1.jpg"),
        "part": 3,
        "row": 0,
        "url": "https://b.org/1.jpg",
        "path": None,
        "caption": "one",
        "language": None,
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
    columns = {"URL": ["u", None], "TEXT": ["t", "t"], "WIDTH": ["640", "wide"]}
    pq.write_table(pa.table({**columns, "LANGUAGE": ["nl", None]}), file)
    first, second = read(tmp_path, tmp_path).to_pylist()
    assert (first["url"], first["caption"], first["width"], first["height"]) == (
        "u",
        "t",
        640,
        None,
    )
    assert (second["url"], second["width"], second["row_id"]) == (None, None, content_id(""))
    assert (first["language"], second["language"]) == ("nl", None)


def test_no_number_is_null_and_bytes_are_text(tmp_path):
    """NaN is above every number in SQL, and a minimum in the file's statistics hides it."""
    nan = float("nan")
    columns = {
        "url": pa.array(["https://a.org/ü".encode(), b"v", b"w"], pa.binary()),
        "similarity": [0.1, nan, None],
        "punsafe": pa.array([nan, 0.5, 0.25], pa.float32()),
        "original_width": [nan, 640.0, 3e9],
        'pro"bability': pa.array([0.5, 0.25, nan]),
    }
    pq.write_table(pa.table(columns), tmp_path / "part.parquet")
    table = read(tmp_path, tmp_path)
    assert table["url"].to_pylist() == ["https://a.org/ü", "v", "w"]
    assert table["similarity"].to_pylist() == [0.1, None, None]
    assert table["punsafe"].to_pylist() == [None, 0.5, 0.25]
    assert table["width"].to_pylist() == [None, 640, None]
    quoted = read(tmp_path, tmp_path, columns={"url": "url", "pwatermark": 'pro"bability'})
    assert quoted["pwatermark"].to_pylist() == [0.5, 0.25, None]


def not_all_utf8(texts):
    """A column of strings as careless writers make it: its bytes were never looked at."""
    raw = pa.array(texts, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())


@pytest.mark.parametrize("kind", ["string", "binary"])
def test_a_text_that_is_not_utf8_is_missing_and_its_row_stays(tmp_path, caplog, kind):
    urls = [b"https://a.org/%d" % row for row in range(400_000)]
    urls[350_001] = b"https://a.org/\xff"
    captions = [b"caf\xc3\xa9", None] * 200_000
    captions[399_998] = b"caf\xe9"
    make = not_all_utf8 if kind == "string" else pa.array
    columns = {"url": make(urls), "caption": make(captions), "punsafe": [0.25] * 400_000}
    columns["notes"] = not_all_utf8([b"\xff"] * 400_000)  # which nobody reads
    pq.write_table(pa.table(columns), tmp_path / "part.parquet", row_group_size=50_000)
    table = read(tmp_path, tmp_path)
    assert table["row"].to_pylist() == list(range(400_000))
    expected = [url.decode() for url in urls[:350_001]] + [None]
    expected += [url.decode() for url in urls[350_002:]]
    assert table["url"].to_pylist() == expected
    assert table["caption"].to_pylist() == ["café", None] * 199_999 + [None, None]
    assert table["row_id"][350_001].as_py() == content_id("")
    assert set(table["punsafe"].to_pylist()) == {0.25}
    assert "part.parquet" in caplog.text
    assert "Such texts are missing values" in caplog.text


def test_a_file_that_breaks_late_is_named(tmp_path):
    file = tmp_path / "part.parquet"
    urls = [f"https://a.org/{row}" for row in range(400_000)]
    pq.write_table(pa.table({"url": urls}), file, row_group_size=50_000, use_dictionary=False)
    spoil_page(file, row_group=7, size=5000)
    with pytest.raises(ValueError, match=r"part\.parquet: not readable as parquet.*fetch it again"):
        read(tmp_path, tmp_path)


def recognise(found):
    return column_map(found, file="f", declared=None, key="source")


def test_names_of_the_relatives_are_known():
    coco = recognise({"URL", "top_caption", "punsafe", "all_captions"})
    assert (coco["url"], coco["caption"], coco["punsafe"]) == ("URL", "top_caption", "punsafe")
    assert coco["md5"] is None
    with pytest.raises(ValueError, match="f: no column named url or URL among link, text"):
        recognise({"link", "text"})


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    file = tmp_path / "part.parquet"
    file.write_bytes(b"<html>quota exceeded</html>" * 10)
    with pytest.raises(ValueError, match=r"part\.parquet: not readable as parquet.*fetch it again"):
        read(tmp_path, tmp_path)


def test_remote_parts_are_read_through_fsspec(tmp_path):
    with fsspec.filesystem("memory").open("/relaion/part-0.parquet", "wb") as file:
        pq.write_table(pa.table({"url": ["https://a.org/1.jpg"]}), file)
    table = read("memory://relaion", tmp_path, name="part-0.parquet")
    assert table["url"].to_pylist() == ["https://a.org/1.jpg"]


@pytest.mark.shared
def test_real_rows_keep_their_order_and_their_ids_are_hashes(shared_data, tmp_path):
    root = shared_data / "laion_sample"
    urls = pq.read_table(root / "metadata.parquet", columns=["URL"])["URL"].to_pylist()
    table = read(root, tmp_path, name="metadata.parquet")
    assert table["url"].to_pylist() == urls
    assert table["row"].to_pylist() == list(range(10_000))
    expected = [hashlib.sha256(f"franca/row/{url}".encode()).hexdigest()[:32] for url in urls]
    assert table["row_id"].to_pylist() == expected
    assert len(set(expected)) == len(set(urls)) == 9_999


DATACOMP = {
    "uid": ["d1", "d2"],
    "url": ["https://a.org/1.jpg", "https://a.org/2.jpg"],
    "text": ["one", "two"],
    "original_width": [1704, 120],
    "original_height": [899, 90],
    "clip_b32_similarity_score": [0.27, 0.38],
    "clip_l14_similarity_score": [0.25, 0.33],
    "sha256": ["40" * 32, "96" * 32],
}
COYO = {
    "id": [1],
    "url": ["https://a.org/1.jpg"],
    "text": ["one"],
    "width": [640],
    "height": [480],
    "clip_similarity_vitb32": [0.31],
    "nsfw_score_opennsfw2": [0.1],
    "watermark_score": [0.4],
}


@pytest.mark.parametrize("declared", [True, False])
def test_declared_columns_and_recognised_ones_agree(tmp_path, declared):
    """What the catalogue maps is also found by name, so a table of one's own needs no entry."""
    for name, table in (("datacomp_small", DATACOMP), ("coyo_700m", COYO)):
        pq.write_table(pa.table(table), tmp_path / "part.parquet")
        columns = lookup(name).layout.columns if declared else None
        row = read(tmp_path, tmp_path, columns=columns).to_pylist()[0]
        assert row["caption"] == "one"
        expected = {"datacomp_small": (1704, 0.25, None), "coyo_700m": (640, 0.31, 0.1)}[name]
        found = (row["width"], row["similarity"], row["punsafe"])
        assert found == pytest.approx(expected)


def test_a_declared_column_that_is_missing_is_named(tmp_path):
    pq.write_table(pa.table({"link": ["u"], "text": ["t"]}), tmp_path / "part.parquet")
    for columns, words in (
        ({"url": "link", "caption": "alt"}, r"source\.columns: no column 'alt' in .*part\.parquet"),
        ({"caption": "text"}, r"source\.columns: no url; the file has link, text"),
    ):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, tmp_path, columns=columns)
    table = read(tmp_path, tmp_path, columns={"url": "link", "language": "text"})  # one's own
    assert (table["url"].to_pylist(), table["language"].to_pylist()) == (["u"], ["t"])


def test_a_web_server_is_read_by_ranges(server, tmp_path):
    rows = 100_000
    table = pa.table({"url": [f"u{row}" for row in range(rows)], "exif": ["x" * 200] * rows})
    pq.write_table(table, server.folder / "part.parquet", compression="none", use_dictionary=False)
    assert read(server.url, tmp_path)["url"].to_pylist() == table["url"].to_pylist()
    assert any(start > 0 for _, start in server.served)
    server.ranges = False
    with pytest.raises(OSError, match=r"source\.root: .* whole files only.*franca data fetch"):
        read(server.url, tmp_path)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_is_told_from_a_broken_file(server, tmp_path, status):
    server.status = status
    with pytest.raises(PermissionError, match=rf"source\.root: access to .* is refused \({status}"):
        read(server.url, tmp_path)
