"""Arrays of all images, shard by shard, in the order of groups, shards and row ids."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.dedup.digests import to_texts
from data_filters.dedup.gathering import read_images
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
    images = read_images(
        parts, downloads=folders / "raw", judged=folders / "judged", embedded=embedded
    )
    order = [3, 5, 1]
    assert images.groups == {"group-000": 0, "group-001": 3}
    assert to_texts(images.row_ids) == [digest(n, 32) for n in order]
    assert to_texts(images.signatures.sha256) == [digest(n + 16, 32) for n in order]
    assert to_texts(images.signatures.pixels) == [digest(n + 32, 32) for n in order]
    assert images.signatures.perceptual.tolist() == order
    assert images.signatures.mirrored.tolist() == [2**64 - 1 - n for n in order]
    assert images.signatures.contrast.tolist() == order
    assert images.size.tolist() == [10 * n for n in order]
    assert images.area.tolist() == [70_000 * n * n for n in order]
    if embedded:
        assert images.signatures.embeddings[:, 0].tolist() == order
    else:
        assert images.signatures.embeddings is None
