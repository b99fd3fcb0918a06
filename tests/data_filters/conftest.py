"""Images and tables that the tests of the data half are made of."""

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from data_filters.base import RuleFilter
from data_filters.io.parquet import scan_sql, write_rows
from data_filters.metadata.judge import judged_sql, named_rules, verdicts
from data_filters.records import METADATA, content_id

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the real images are not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Smooth random pictures: they survive JPEG, and any two of them differ in looks."""

    def make(index: int, *, width: int = 64, height: int = 48) -> np.ndarray:
        rng = np.random.default_rng(index)
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(image)

    return make


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    def encode(pixels: np.ndarray, kind: str = "JPEG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        defaults = {"quality": 92} if kind in {"JPEG", "WEBP"} else {}
        Image.fromarray(pixels).save(buffer, kind, **{**defaults, **options})
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def jpeg(picture, encode) -> Callable[..., bytes]:
    return lambda index, **size: encode(picture(index, **size))


@pytest.fixture
def metadata_part(tmp_path) -> Callable[..., Path]:
    """Write rows of metadata as a part; what a row leaves out has a harmless value."""
    numbers = itertools.count()

    def write(rows: Sequence[Mapping[str, Any]], *, part: int | None = None) -> Path:
        number = next(numbers) if part is None else part
        complete = []
        for row, values in enumerate(rows):
            record = {
                "url": f"https://host{row}.example.org/{number}/{row}.jpg",
                "path": None,
                "caption": "a photo of a thing",
                "width": 640,
                "height": 480,
                "similarity": 0.32,
                "punsafe": 0.001,
                "pwatermark": 0.2,
                "status": "success",
                "md5": None,
                **values,
                "part": number,
                "row": row,
            }
            record["row_id"] = content_id(record["url"] or record["path"] or "")
            complete.append(record)
        file = tmp_path / "parts" / f"part-{number:05d}.parquet"
        write_rows(file, METADATA, complete)
        return file

    return write


@pytest.fixture
def judge(metadata_part) -> Callable[..., list[tuple[str, str] | None]]:
    """Judge rows by metadata filters; (filter, reason) or None for each, in order."""

    def judge(
        filters: RuleFilter | Sequence[RuleFilter], rows: Sequence[Mapping[str, Any]]
    ) -> list[tuple[str, str] | None]:
        chain = [filters] if isinstance(filters, RuleFilter) else list(filters)
        rules = named_rules(chain)
        query = judged_sql(f"SELECT * FROM {scan_sql([metadata_part(rows)])}", rules)
        with duckdb.connect() as connection:
            judged = connection.sql(f"{query} ORDER BY row").to_arrow_table().combine_chunks()
        found = verdicts(judged.to_batches()[0], rules).to_pylist()
        return [None if v["kept"] else (v["filter"], v["reason"]) for v in found]

    return judge


@pytest.fixture
def huggingface_parquet(tmp_path) -> Callable[..., Path]:
    """Write a file in Hugging Face layout, class names in the schema's metadata."""
    import json

    def write(name: str, images: Sequence[bytes | None], labels: Sequence[int]) -> Path:
        names = ["n01 ball", "n02 cube", "n03 cone"]
        features = {
            "image": {"_type": "Image"},
            "label": {"names": names, "_type": "ClassLabel"},
        }
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        schema = pa.schema([("image", image), ("label", pa.int64())]).with_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        rows = [
            {"image": None if data is None else {"bytes": data, "path": f"{i}.jpg"}, "label": label}
            for i, (data, label) in enumerate(zip(images, labels, strict=True))
        ]
        file = tmp_path / "hf" / name
        write_rows(file, schema, rows)
        return file

    return write
