"""NAVI's objects, from files as they are laid out."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from franca.eval.cameras import carry, motion_between, project, rotation_angle
from franca.eval.inputs.navi import NaviViews


def write_object(root, name, angles):
    """A disc half a metre away and 10 cm wide, seen after turns around it."""
    folder = root / name / "wild_set"
    for sub in ("images", "depth"):
        (folder / sub).mkdir(parents=True)
    rows, columns = np.mgrid[:600, :800]
    disc = (rows - 320) ** 2 + (columns - 380) ** 2 < 100**2
    millimetres = np.where(disc, 500.0, np.inf)
    inverse = (65535 * 10 / millimetres).round().astype(np.uint16)
    listing = []
    for number, angle in enumerate(angles):
        pixels = np.where(disc[..., None], np.uint8(200), np.uint8(30)).repeat(3, 2)
        Image.fromarray(pixels).save(folder / f"images/downsampled_{number:03d}.jpg", quality=95)
        Image.fromarray(inverse).save(folder / f"depth/downsampled_{number:03d}.png")
        half = np.radians(angle) / 2
        listing.append(
            {
                "filename": f"{number:03d}.jpg",
                "image_size": [1200, 1600],
                "split": "train",
                "camera": {
                    "q": [np.cos(half), 0.0, np.sin(half), 0.0],
                    "t": [0.0, 0.0, 500.0],
                    "focal_length": 1500.0,
                },
            }
        )
    (folder / "annotations.json").write_text(json.dumps(listing))


@pytest.fixture
def root(tmp_path):
    write_object(tmp_path, "bottle", [0, 20, 40, 170, 60, 80, 100, 10])
    write_object(tmp_path, "shoe", [0, 90])
    return tmp_path


def opened(root, limit=None):
    return NaviViews(root, split="wild_set", limit=limit)


def test_every_fourth_picture_meets_one_within_120_degrees(root):
    found = opened(root)
    assert len(found.pairs) == 3  # of ten pictures
    for first, second in found.pairs:
        assert first != second
        assert found.groups[first] == found.groups[second]
        motion = motion_between(found.shot(first).pose, found.shot(second).pose)
        assert 0 < rotation_angle(motion) <= 120
    assert opened(root).pairs == found.pairs  # the same whenever they are drawn
    assert len(opened(root, limit=1).pairs) == 1


def test_the_object_fills_a_square_whose_camera_is_its_own(root):
    found = opened(root)
    shot, pixels = found.shot(0), np.array(found.image(0))
    assert pixels.shape == (512, 512, 3)
    known = shot.points[2] > 0
    assert float(known.double().mean()) == pytest.approx(np.pi / 4, abs=0.02)
    assert shot.points[2][known].mean().item() == pytest.approx(0.5, abs=1e-3)
    agree = (pixels[..., 0] > 115) == known.numpy()
    assert agree.mean() > 0.98
    # 200 of 600 pixels at half a metre; the focal length of 1200 pixels is 1500.
    width = shot.points[0][known].max() - shot.points[0][known].min()
    assert width.item() == pytest.approx(0.5 * 200 / 600 * 1200 / 1500, rel=0.02)
    places = project(shot.points.flatten(1).T[known.flatten()], shot.intrinsics)
    there = known.nonzero().flip(1) + 0.5
    assert (places - there).abs().max() < 6  # nearest resizing, twice


def test_poses_are_from_the_object_to_the_camera_in_metres(root):
    poses = {tuple(opened(root).shot(i).pose[:, 3].tolist()) for i in range(len(opened(root)))}
    assert poses == {(0.0, 0.0, 0.5)}
    centre = torch.zeros(1, 3)
    assert carry(centre, opened(root).shot(0).pose).tolist() == [[0.0, 0.0, 0.5]]


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="found none"):
        opened(tmp_path / "nowhere")
    for path in root.glob("*/wild_set/depth/*.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"depth/downsampled_\d+.png: a file that"):
        opened(root)


def test_pictures_too_far_apart_are_no_pairs(tmp_path):
    write_object(tmp_path, "mug", [0, 170])
    with pytest.raises(ValueError, match="no object has two pictures within 120 degrees"):
        opened(tmp_path)


def test_an_empty_depth_is_refused(root):
    path = root / "bottle/wild_set/depth/downsampled_000.png"
    Image.fromarray(np.zeros((600, 800), np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"downsampled_000.png: no depth within"):
        opened(root).image(0)
