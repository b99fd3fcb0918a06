"""Captions of a raw shard."""

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.captions import captions_of
from data_filters.records import content_id


def test_captions_are_found_in_any_part_and_repeats_settle_on_the_smallest(metadata_part, tmp_path):
    a, b, c = (f"https://a.org/{n}" for n in range(3))
    kept = [
        metadata_part([{"url": a, "caption": "of a"}, {"url": b, "caption": None}]),
        metadata_part([{"url": a, "caption": "another of a"}, {"url": c, "caption": "of c"}]),
    ]
    shard = tmp_path / "shard-000000.parquet"
    pq.write_table(pa.table({"row_id": [content_id(a), content_id(b)]}), shard)
    assert captions_of(shard, kept) == {content_id(a): "another of a", content_id(b): ""}
