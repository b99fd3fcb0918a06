"""Lists of local images: what is there already is not listed again."""

import pyarrow.parquet as pq

from data_filters.io.tar import write_tar
from data_filters.records import METADATA, content_id
from data_filters.sources.listing import list_images
from data_filters.sources.webdataset import WebdatasetReader


def test_every_part_becomes_a_table_of_metadata_and_finished_ones_stay(tmp_path, jpeg):
    for number in range(2):
        members = [("a.jpg", jpeg(number)), ("a.txt", f"text {number}".encode())]
        write_tar(tmp_path / "tars" / f"{number}.tar", members)
    reader = WebdatasetReader(root=str(tmp_path / "tars"), files="*.tar", key="source")
    parts = tmp_path / "parts"
    list_images(reader, parts)
    files = sorted(parts.iterdir())
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet"]
    table = pq.read_table(files[1])
    assert table.schema.names == METADATA.names
    (row,) = table.to_pylist()
    assert (row["part"], row["row"], row["path"], row["caption"]) == (1, 0, "1.tar#a", "text 1")
    assert row["row_id"] == content_id("1.tar#a")
    files[0].write_bytes(b"as it was")
    files[1].unlink()
    list_images(reader, parts)
    assert files[0].read_bytes() == b"as it was"
    assert pq.read_table(files[1]).equals(table)
