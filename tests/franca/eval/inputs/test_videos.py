"""The layout of DAVIS-2017."""

import numpy as np
import pytest
from PIL import Image

from franca.eval.inputs.videos import VideoFrames
from tests.franca.eval.worlds import write_videos


def test_frames_of_all_sequences_in_order(tmp_path):
    write_videos(tmp_path, {"car": 3, "dog": 1})
    frames = VideoFrames(tmp_path, split="val", limit=None)
    assert len(frames) == 4
    assert frames.sequences.names == ("car", "dog")
    assert frames.sequences.starts == (0, 3, 4)
    assert frames.size(0) == (24, 20)
    assert frames.image(3).size == (20, 24)
    assert frames.masks(0, 3).shape == (3, 24, 20)
    assert len(VideoFrames(tmp_path, split="val", limit=1)) in {1, 3}


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"DAVIS-2017; .*2017/val.txt does not exist"):
        VideoFrames(tmp_path, split="val", limit=None)
    write_videos(tmp_path, {"car": 2})
    mask = tmp_path / "Annotations/480p/car/00001.png"
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r"car/00001.png does not exist"):
        VideoFrames(tmp_path, split="val", limit=None)
    (tmp_path / "ImageSets/2017/val.txt").write_text("bus\n")
    with pytest.raises(FileNotFoundError, match=r"480p/bus/<frame>.jpg does not exist"):
        VideoFrames(tmp_path, split="val", limit=None)
    (tmp_path / "ImageSets/2017/val.txt").write_text("")
    with pytest.raises(ValueError, match="names no sequence"):
        VideoFrames(tmp_path, split="val", limit=None)


def test_masks_that_are_no_object_numbers_are_refused(tmp_path):
    write_videos(tmp_path, {"car": 2})
    frames = VideoFrames(tmp_path, split="val", limit=None)
    path = tmp_path / "Annotations/480p/car/00001.png"
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(path)
    with pytest.raises(ValueError, match="masks of several sizes"):
        frames.masks(0, 2)
    Image.new("RGB", (20, 24)).save(path)
    with pytest.raises(ValueError, match="expected an indexed PNG of object numbers"):
        frames.masks(0, 2)


def test_grey_masks_of_one_object_are_those_of_2016(tmp_path):
    write_videos(tmp_path, {"car": 2})
    frames = VideoFrames(tmp_path, split="val", limit=None)
    object_mask = np.zeros((24, 20), np.uint8)
    object_mask[3:9, 4:8] = 255
    for number in range(2):
        path = tmp_path / f"Annotations/480p/car/{number:05d}.png"
        Image.fromarray(object_mask).save(path)
    assert frames.masks(0, 2).max() == 1
    assert frames.masks(0, 2).sum() == 2 * 24
    indexed = Image.fromarray(object_mask).convert("P")  # with a palette, 255 is void
    indexed.putdata(object_mask.ravel())
    indexed.save(tmp_path / "Annotations/480p/car/00000.png")
    assert frames.masks(0, 1).max() == 255
