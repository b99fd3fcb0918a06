"""A table of all images, in the order of groups, shards and row ids."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.dedup import gathering
from data_filters.dedup.digests import to_texts
from data_filters.dedup.gathering import IMAGE, gather_images
from data_filters.io import parquet
from data_filters.records import IMAGE_VERDICT, RAW_IMAGE, SIGNATURE


def digest(number, digits=64):
    return f"{number:02x}" * (digits // 2)


@pytest.fixture
def folders(tmp_path):
    """Two groups, one without images; in the other two shards, signatures not sorted."""
    group = "group-001"
    for stem, numbers in {"shard-000000": [5, 3], "shard-000001": [1]}.items():
        rows = [
            {
                "row_id": digest(n, 32), "sha256": digest(n + 16), "pixels": digest(n + 32),
                "perceptual": n, "mirrored": 2**64 - 1 - n, "contrast": float(n), "kept": True,
                "size": 10 * n, "width": n, "height": 70_000 * n,
            }
            for n in numbers
        ]  # fmt: skip
        for folder, schema in {
            f"signed/{group}/signatures": SIGNATURE,
            f"raw/{group}/raw": RAW_IMAGE,
            f"judged/{group}/verdicts": IMAGE_VERDICT,
        }.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(rows[:: -1 if "raw" in folder else 1], schema=schema)
            pq.write_table(table, tmp_path / folder / f"{stem}.parquet")
        (tmp_path / "signed" / group / "embeddings").mkdir(exist_ok=True)
        vectors = np.array([[n, 0] for n in numbers], np.float16)
        np.save(tmp_path / "signed" / group / "embeddings" / f"{stem}.npy", vectors)
    return tmp_path


@pytest.mark.parametrize("embedded", [False, True])
def test_every_column_follows_its_image(folders, embedded):
    parts = {name: folders / "signed" / name for name in ("group-000", "group-001")}
    images = gather_images(
        parts,
        downloads=folders / "raw",
        judged=folders / "judged",
        embedded=embedded,
        folder=folders / "images",
    )
    order = [3, 5, 1]
    assert (list(images.files), images.number) == (list(parts), 3)
    assert pq.read_table(images.files["group-000"]).num_rows == 0
    table = pq.read_table(images.files["group-001"])
    assert table.schema.equals(IMAGE)
    assert table["place"].to_pylist() == [0, 1, 2]
    for name, offset in {"row_id": 0, "sha256": 16, "pixels": 32}.items():
        assert [value.hex() for value in table[name].to_pylist()] == [
            digest(n + offset, 32) for n in order
        ]
    assert table["size"].to_pylist() == [10 * n for n in order]
    assert table["area"].to_pylist() == [70_000 * n * n for n in order]


@pytest.mark.parametrize("at_a_time", [1, 4])
def test_signatures_come_back_in_order(folders, monkeypatch, at_a_time):
    monkeypatch.setattr(gathering, "_ROW_GROUPS", at_a_time)
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 2)
    images = gather_images(
        {name: folders / "signed" / name for name in ("group-000", "group-001")},
        downloads=folders / "raw",
        judged=folders / "judged",
        embedded=True,
        folder=folders / "images",
    )
    order, seen = [3, 5, 1], []
    for first, signatures in images.signatures():
        numbers = order[first : first + len(signatures.sha256)]
        seen += numbers
        assert to_texts(signatures.sha256) == [digest(n + 16, 32) for n in numbers]
        assert to_texts(signatures.pixels) == [digest(n + 32, 32) for n in numbers]
        assert signatures.perceptual.tolist() == signatures.contrast.tolist() == numbers
        assert signatures.mirrored.tolist() == [2**64 - 1 - n for n in numbers]
        assert signatures.embeddings[:, 0].tolist() == numbers
    assert seen == order
