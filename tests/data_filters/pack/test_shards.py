"""Shards of any lengths and numbers, and the books beside them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.io.tar import write_tar
from data_filters.pack.shards import write_shards
from data_filters.records import INDEX, MANIFEST, PACKED


@pytest.fixture
def packed(tmp_path):
    (member,) = write_tar(tmp_path / "raw.tar", [("a.jpg", b"bytes")])
    rows = [
        {
            "key": f"{n}", "row_id": f"r{n}", "url": "u", "caption": None, "sha256": f"{n}",
            "original_md5": "m", "width": 4, "height": 3, "extension": "jpg",
            "tar": str(tmp_path / "raw.tar"), "offset": member.offset, "size": member.size,
            "shard": shard,
        }
        for n, shard in enumerate([0, 0, 2])
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=PACKED), tmp_path / "packed.parquet")
    return tmp_path / "packed.parquet"


def test_shards_keep_their_numbers_and_lengths(packed, tmp_path):
    write_shards(packed, {0: (0, 2), 2: (2, 3)}, work=tmp_path / "work", output=tmp_path / "out")
    tars = sorted(file.name for file in (tmp_path / "out").glob("*.tar"))
    assert tars == ["shard-000000.tar", "shard-000002.tar"]
    index = pq.read_table(tmp_path / "out" / "index.parquet")
    assert index.schema.equals(INDEX)
    for row in index.to_pylist():
        tar = (tmp_path / "out" / f"shard-{row['shard']:06d}.tar").read_bytes()
        assert tar[row["offset"] : row["offset"] + row["size"]] == b"bytes"
    manifest = pq.read_table(tmp_path / "out" / "manifest.parquet")
    assert manifest.schema.equals(MANIFEST)
    assert manifest["row_id"].to_pylist() == ["r0", "r1", "r2"]


def test_what_a_killed_run_wrote_is_not_written_again(packed, tmp_path):
    stretches = {0: (0, 2), 2: (2, 3)}
    write_shards(packed, stretches, work=tmp_path / "work", output=tmp_path / "one")
    (tmp_path / "raw.tar").unlink()
    write_shards(packed, stretches, work=tmp_path / "work", output=tmp_path / "two")
    one, two = (
        [file.read_bytes() for file in sorted((tmp_path / name).iterdir())]
        for name in ("one", "two")
    )
    assert one == two
