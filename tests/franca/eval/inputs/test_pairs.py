"""Pairs are read from both layouts, and what is missing is named."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from franca.data.scenes.layouts import EncodedPair, encode, write_pairs
from franca.eval.inputs.pairs import open_pairs
from franca.eval.object_store import pairs


def picture(seed, *, width=16, height=16):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode(pixels, quality=90)


@pytest.fixture
def rendered(tmp_path):
    points = {
        "source": np.array([[4.0, 8.0], [12.0, 2.0]]),
        "target": np.array([[8.0, 8.0], [1.0, 15.0]]),
        "source_box": np.array([0, 0, 16, 16]),
        "target_box": np.array([4, 2, 12, 8]),
    }
    pairs = [
        EncodedPair(kind=kind, label=label, source=picture(i), target=picture(9 - i), points=points)
        for i, (kind, label) in enumerate([("semantic", "ball"), ("geometric", "cube")])
    ]
    write_pairs(tmp_path, pairs)
    return tmp_path


@pytest.fixture
def spair(tmp_path):
    (tmp_path / "Layout/large").mkdir(parents=True)
    (tmp_path / "Layout/large/test.txt").write_text("000001-a-b:cat\n")
    (tmp_path / "PairAnnotation/test").mkdir(parents=True)
    labels = {
        "category": "cat", "src_imname": "a.jpg", "trg_imname": "b.jpg", "viewpoint_variation": 2,
        "src_kps": [[1, 2], [3, 4]], "trg_kps": [[5, 6], [7, 8]], "trg_bndbox": [2, 3, 12, 8],
    }  # fmt: skip
    (tmp_path / "PairAnnotation/test/000001-a-b:cat.json").write_text(json.dumps(labels))
    (tmp_path / "JPEGImages/cat").mkdir(parents=True)
    for seed, name in enumerate("ab"):
        (tmp_path / f"JPEGImages/cat/{name}.jpg").write_bytes(picture(seed, width=20, height=10))
    return tmp_path


def test_rendered_pairs(rendered, store):
    images = open_pairs("pairs", rendered, split="val", limit=None)
    assert len(images) == 4
    assert [row.group for row in images.rows] == ["semantic", "geometric"]
    inputs = pairs(store, images, raw=False)
    pair = inputs.pairs[1]
    assert (pair.label, pair.grid) == ("cube", (4, 4))
    assert pair.source_points.tolist() == [[0.25, 0.5], [0.75, 0.125]]
    assert pair.target_extent == 0.5
    alone = pairs(store, open_pairs("pairs", rendered, split="val", limit=1), raw=False)
    assert len(alone.pairs) == 1


def test_spair_keeps_points_through_the_white_square(spair, store):
    images = open_pairs("spair", spair, split="test", limit=None)
    (row,) = images.rows
    assert (row.label, row.group, row.target_extent) == ("cat", "d2", 10.0)
    (pair,) = pairs(store, images, raw=False).pairs
    assert pair.source_points.tolist() == [[0.05, 0.1], [0.15, 0.2]]  # of the square of 20 pixels
    white = pair.source.unflatten(0, pair.grid)[3:]  # well below the picture
    assert torch.allclose(white, white[:1, :1].expand_as(white), atol=0.1)


@pytest.mark.parametrize("layout", ["pairs", "spair"])
def test_other_layouts_are_named(layout, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected the .*; .* does not exist"):
        open_pairs(layout, tmp_path, split="test", limit=None)


def test_a_missing_image_is_named(spair):
    (spair / "JPEGImages/cat/b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat/b.jpg: the image of a pair does not exist"):
        open_pairs("spair", spair, split="test", limit=None)


def test_the_digest_follows_images_and_points(rendered):
    before = open_pairs("pairs", rendered, split="val", limit=None).digest
    Image.new("RGB", (16, 16)).save(rendered / "JPEGImages/semantic_0000_source.jpg")
    assert open_pairs("pairs", rendered, split="val", limit=None).digest != before
