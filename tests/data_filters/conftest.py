"""Images and tables that the tests of the data half are made of."""

import hashlib
import io
import itertools
import json
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
from data_filters.metadata.judge import declare_functions, judged_sql, named_rules, verdicts
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
            declare_functions(connection, chain)
            judged = connection.sql(f"{query} ORDER BY row").to_arrow_table().combine_chunks()
        found = verdicts(judged.to_batches()[0], rules).to_pylist()
        return [None if v["kept"] else (v["filter"], v["reason"]) for v in found]

    return judge


@pytest.fixture
def huggingface_parquet(tmp_path) -> Callable[..., Path]:
    """Write a file in Hugging Face layout, class names in the schema's metadata."""

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


def _pinned(file: Path) -> dict[str, str]:
    return {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@pytest.fixture(scope="session")
def pinned() -> Callable[[Path], dict[str, str]]:
    """Name a file as parameters do: with its digest."""
    return _pinned


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> dict[str, str]:
    """A CLIP of some thousand parameters, random weights, as the parameters name one."""
    from compat.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "patch_size": 8,
            "head_width": 16,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-clip.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model("tiny-clip")
    save_file(model.state_dict(), folder / "tiny-clip.safetensors")
    weights = _pinned(folder / "tiny-clip.safetensors")
    return {"kind": "open_clip", "model": str(folder / "tiny-clip.json"), **weights}


def _onnx(folder: Path, node: Any, initializers: Sequence[Any], shape: list[Any]) -> dict[str, Any]:
    """Write a graph of one operator on images of 16 pixels, and name it as parameters do."""
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", *shape])],
        list(initializers),
    )
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "graph.onnx")
    return {
        "kind": "onnx",
        **_pinned(folder / "graph.onnx"),
        "size": 16,
        "resize": 16,
        "mean": (0.0, 0.0, 0.0),
        "std": (255.0, 255.0, 255.0),
        "channels": "rgb",
        "layout": "nchw",
        "output": "output",
    }


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory) -> dict[str, Any]:
    """A graph that returns the mean of each channel: what it must say is known."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    node = helper.make_node("ReduceMean", ["images", "axes"], ["output"], keepdims=0)
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    return _onnx(tmp_path_factory.mktemp("means"), node, [axes], [3])


@pytest.fixture(scope="session")
def thumbnail_onnx(tmp_path_factory) -> dict[str, Any]:
    """A graph that returns a thumbnail of 4x4 pixels: copies are close, other pictures are not."""
    pytest.importorskip("onnx")
    from onnx import helper

    node = helper.make_node(
        "AveragePool", ["images"], ["output"], kernel_shape=[4, 4], strides=[4, 4]
    )
    graph = _onnx(tmp_path_factory.mktemp("thumbnail"), node, [], [3, 4, 4])
    return {**graph, "mean": (128.0, 128.0, 128.0), "std": (64.0, 64.0, 64.0)}
