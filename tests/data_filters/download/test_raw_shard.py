"""Raw shards: sorted, sniffed, and with a word for what is missing."""

import hashlib

import pyarrow.parquet as pq
import pytest

from data_filters.base import drop
from data_filters.download.raw_shard import Fetched, accept, write_raw_shard


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "not_an_image"),
        (b"GIF89a...", "format_not_supported"),
        (b"BM......", "format_not_supported"),
        (b"\xff\xd8\xff\xe0", None),
    ],
)
def test_bytes_are_accepted_by_how_they_begin(data, reason):
    assert accept(data).reason == reason


def test_the_order_of_arrival_leaves_no_trace(tmp_path, jpeg, encode, picture):
    rows = [
        Fetched("d", jpeg(0), original_md5="of what was shrunk"),
        Fetched("a", encode(picture(1), "PNG")),
        Fetched("c", b"<html>"),
        Fetched("b", b"ignored", drop("timeout", "timed out")),
    ]
    for name, order in {"one": rows, "two": rows[::-1]}.items():
        write_raw_shard(tmp_path / name, "s", shard=7, rows=order)
    for suffix in (".tar", ".parquet"):
        first, second = ((tmp_path / name / f"s{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second
    table = pq.read_table(tmp_path / "one" / "s.parquet").to_pylist()
    assert [(r["row_id"], r["kept"], r["filter"], r["reason"], r["detail"]) for r in table] == [
        ("a", True, None, None, None),
        ("b", False, "download", "timeout", "timed out"),
        ("c", False, "download", "not_an_image", None),
        ("d", True, None, None, None),
    ]
    tar = (tmp_path / "one" / "s.tar").read_bytes()
    last = table[3]
    data = tar[last["offset"] : last["offset"] + last["size"]]
    assert (data, last["extension"], last["shard"]) == (jpeg(0), "jpg", 7)
    assert last["sha256"] == hashlib.sha256(data).hexdigest()
    assert last["original_md5"] == "of what was shrunk"
    assert table[0]["original_md5"] == hashlib.md5(encode(picture(1), "PNG")).hexdigest()
    assert table[0]["extension"] == "png"
    assert table[1]["offset"] is None
