import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from franca.data.scenes.layouts import (
    EncodedPair,
    LabelledImage,
    encode,
    encode_array,
    encode_mask,
    palette,
    void_borders,
    write_classification,
    write_pairs,
    write_segmentation,
    write_videos,
)

SHARED = Path(__file__).parents[5] / "shared" / "data"
MASK = np.repeat(np.array([[0, 0, 1, 1], [0, 2, 2, 1]], np.uint8), 2, axis=0)


def _image(value=90):
    return np.full((16, 24, 3), value, np.uint8)


def _read(content):
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(("encoder", "exact"), [("JPEG", False), ("PNG", True), ("WEBP", False)])
def test_encoded_images_come_back(encoder, exact):
    noise = np.random.default_rng(0).integers(80, 110, (16, 24, 3), dtype=np.uint8)
    image = _read(encode(noise, encoder=encoder, quality=95))
    assert image.format == encoder
    difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - noise)
    assert bool(difference.max() == 0) is exact
    assert difference.mean() < 10


def test_masks_are_indexed_and_come_back():
    image = _read(encode_mask(MASK))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), MASK)


def test_palette_is_that_of_pascal_voc():
    colors = np.frombuffer(palette(), np.uint8).reshape(-1, 3).tolist()
    assert colors[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colors[8] == [64, 0, 0]
    assert colors[20] == [0, 64, 128]
    assert colors[255] == [224, 224, 192]


def test_void_outlines_every_instance_by_one_pixel():
    outlined = void_borders(MASK, MASK)
    assert outlined.tolist() == [
        [0, 255, 1, 1],
        [0, 255, 255, 1],
        [255, 2, 255, 1],
        [255, 2, 255, 1],
    ]


def test_void_parts_touching_instances_of_one_class():
    semantic = np.ones((2, 4), np.uint8)
    instance = np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.uint8)
    assert void_borders(semantic, instance).tolist() == [[1, 255, 1, 1]] * 2


def test_arrays_are_stored_without_pickles():
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    read = np.load(io.BytesIO(encode_array(array)), allow_pickle=False)
    np.testing.assert_array_equal(read, array)


def test_classification_is_what_datasets_reads(tmp_path):
    path = tmp_path / "objects" / "train-00000-of-00001.parquet"
    write_classification(path, [b"a", b"b"], [1, 0], ["cat", "dog"])
    table = pq.read_table(path)
    assert table.column("label").to_pylist() == [1, 0]
    assert table.column("image").to_pylist()[1] == {"bytes": b"b", "path": "000001.jpg"}
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["cat", "dog"]


@pytest.mark.shared
def test_classification_has_the_schema_of_the_real_set(tmp_path):
    real = SHARED / "tiny_imagenet_50" / "val-00000-of-00001.parquet"
    if not real.exists():
        pytest.skip("no real images beside the project")
    write_classification(tmp_path / "val.parquet", [b"a"], [0], ["cat"])
    ours, theirs = pq.read_schema(tmp_path / "val.parquet"), pq.read_schema(real)
    assert ours.equals(theirs)
    features = [
        json.loads(schema.metadata[b"huggingface"])["info"]["features"] for schema in (ours, theirs)
    ]
    features[1]["label"]["names"] = ["cat"]
    assert features[0] == features[1]


def test_segmentation_has_vocs_folders(tmp_path):
    files = LabelledImage(b"image", b"class", b"object", b"depth", b"normals")
    write_segmentation(tmp_path / "s", {"train": {"a": files}, "val": {"b": files}}, ["one", "two"])
    written = {str(p.relative_to(tmp_path / "s")): p.read_bytes() for p in _files(tmp_path / "s")}
    assert written == {
        "classes.txt": b"one\ntwo\n",
        "ImageSets/Segmentation/train.txt": b"a\n",
        "ImageSets/Segmentation/val.txt": b"b\n",
        **{f"JPEGImages/{name}.jpg": b"image" for name in "ab"},
        **{f"SegmentationClass/{name}.png": b"class" for name in "ab"},
        **{f"SegmentationObject/{name}.png": b"object" for name in "ab"},
        **{f"Depth/{name}.npy": b"depth" for name in "ab"},
        **{f"Normals/{name}.npy": b"normals" for name in "ab"},
    }


def test_videos_have_davis_folders(tmp_path):
    write_videos(tmp_path / "v", {"run": [(b"i0", b"m0"), (b"i1", b"m1")]})
    written = {str(p.relative_to(tmp_path / "v")): p.read_bytes() for p in _files(tmp_path / "v")}
    assert written == {
        "ImageSets/2017/val.txt": b"run\n",
        "JPEGImages/480p/run/00000.jpg": b"i0",
        "JPEGImages/480p/run/00001.jpg": b"i1",
        "Annotations/480p/run/00000.png": b"m0",
        "Annotations/480p/run/00001.png": b"m1",
    }


def test_pairs_are_listed_with_their_points(tmp_path):
    points = {"source": np.ones((3, 2), np.float32), "target": np.zeros((3, 2), np.float32)}
    for folder in ("one", "two"):
        write_pairs(tmp_path / folder, [EncodedPair("semantic", "cone", b"s", b"t", points)])
    [row] = json.loads((tmp_path / "one" / "pairs.json").read_text())
    assert (row["kind"], row["class"]) == ("semantic", "cone")
    assert (tmp_path / "one" / row["source"]).read_bytes() == b"s"
    with np.load(tmp_path / "one" / row["points"], allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["source"], points["source"])
    first, second = ((tmp_path / f / row["points"]).read_bytes() for f in ("one", "two"))
    assert first == second


def _files(root):
    return [path for path in root.rglob("*") if path.is_file()]
