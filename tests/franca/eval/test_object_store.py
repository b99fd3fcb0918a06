"""What benchmarks of objects see is what lies on disk."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from franca.eval.inputs.boxes import BoxedImages
from franca.eval.inputs.videos import VideoFrames
from franca.eval.object_store import discovery, videos
from franca.models.vit import build_vit
from franca.randomness import generator
from tests.franca.eval.worlds import write_videos, write_voc


def test_images_of_discovery_keep_their_size_their_boxes_and_no_register(store, tmp_path):
    write_voc(tmp_path, {"val": 3}, size=18)
    images = BoxedImages(tmp_path, split="val", detection=False, limit=None)
    model = build_vit(
        "vit_tiny", patch_size=4, image_size=16, registers=3, generator=generator(0, "test")
    ).eval()
    found = discovery(dataclasses.replace(store, model=model), images)
    assert (len(found.images), found.patch_size) == (3, 4)
    first = found.images[0]
    assert (first.grid, first.size) == ((5, 5), (18, 18))  # the last patches reach beyond
    assert first.keys.shape == (25, model.embed_dim)
    np.testing.assert_array_equal(first.boxes, images.boxes(0))


def test_videos_have_their_frames_in_order(store, tmp_path):
    write_videos(tmp_path, {"first": 4, "second": 1})
    found = videos(store, VideoFrames(tmp_path, split="val", limit=None))
    first, second = found.videos
    assert (first.name, first.grid) == ("first", (5, 4))  # 24x20 pixels, the short side made 16
    assert (first.patches.shape, second.patches.shape) == ((4, 20, 48), (1, 20, 48))
    assert first.masks.shape == (4, 24, 20)
    Image.new("RGB", (40, 20)).save(tmp_path / "JPEGImages/480p/first/00002.jpg")
    with pytest.raises(ValueError, match="video first: its frames have several sizes"):
        videos(store, VideoFrames(tmp_path, split="val", limit=None))
