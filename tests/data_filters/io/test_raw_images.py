"""Raw shards as other stages read them."""

import hashlib

from data_filters.base import drop
from data_filters.download.raw_shard import Fetched, write_raw_shard
from data_filters.io.raw_images import images


def test_images_that_arrived_come_with_their_names_and_bytes(tmp_path, jpeg):
    rows = [
        Fetched("c", jpeg(1)),
        Fetched("a", jpeg(2)),
        Fetched("b", b"", drop("http_404", "gone")),
    ]
    write_raw_shard(tmp_path, "shard-000000", shard=0, rows=rows)
    table = tmp_path / "shard-000000.parquet"
    sha = {n: hashlib.sha256(jpeg(n)).hexdigest() for n in (1, 2)}
    assert list(images(table)) == [("a", sha[2], jpeg(2)), ("c", sha[1], jpeg(1))]
    assert list(images(table, only={"c"})) == [("c", sha[1], jpeg(1))]
