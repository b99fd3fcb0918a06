"""Small packed data sets, written the way pack_shards writes them."""

import hashlib
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compat.torchvision_shim import ensure_torchvision
from franca.data.shards import INDEX_SCHEMA

ensure_torchvision()  # for the tests that compare with torchvision


def jpeg(*, seed: int, height: int = 40, width: int = 48) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", image)[1].tobytes()


def pack(root: Path, images: dict[str, bytes], *, per_shard: int = 8) -> Path:
    """Write images as webdataset tars with their index; bytes need not be images."""
    root.mkdir(parents=True)
    rows = []
    keys = sorted(images)
    for shard in range(-(-len(keys) // per_shard)):
        with tarfile.open(root / f"shard-{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for key in keys[shard * per_shard : (shard + 1) * per_shard]:
                data = images[key]
                decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                height, width = (1, 1) if decoded is None else decoded.shape[:2]
                for suffix, content in [("jpg", data), ("json", b"{}")]:
                    member = tarfile.TarInfo(f"{key}.{suffix}")
                    member.size = len(content)
                    if suffix == "jpg":
                        sha256 = hashlib.sha256(data).hexdigest()
                        place = (key, shard, tar.offset + 512, len(data), width, height, sha256)
                        rows.append(place)
                    tar.addfile(member, io.BytesIO(content))
    columns = dict(zip(INDEX_SCHEMA.names, zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table(columns, schema=INDEX_SCHEMA), root / "index.parquet")
    return root


def name_sets(root: Path, sets: list[str]) -> None:
    """Say in the index of packed shards which image is of which set, as pack_highres does."""
    index = pq.read_table(root / "index.parquet")
    pq.write_table(index.append_column("set", pa.array(sets)), root / "index.parquet")


def empty_highres(root: Path) -> Path:
    """Write what pack_highres writes where no sets are asked for."""
    root.mkdir(parents=True)
    schema = INDEX_SCHEMA.append(pa.field("set", pa.string()))
    pq.write_table(schema.empty_table(), root / "index.parquet")
    return root


@pytest.fixture
def packed(tmp_path) -> Path:
    """Twenty images of differing sizes in three shards."""
    return pack(
        tmp_path / "packed",
        {f"{i:04d}": jpeg(seed=i, height=40 + i % 3, width=48 + i % 5) for i in range(20)},
    )


@pytest.fixture
def make_shards(tmp_path):
    """Pack any keys and bytes: `make_shards({"a": b"..."})`."""
    made = []

    def make(images: dict[str, bytes], **options) -> Path:
        made.append(pack(tmp_path / f"made-{len(made)}", images, **options))
        return made[-1]

    return make


@pytest.fixture
def make_jpeg():
    return jpeg
