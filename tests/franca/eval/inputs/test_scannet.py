"""ScanNet's test pairs, from files as they are laid out."""

import numpy as np
import pytest
from PIL import Image

from franca.eval.inputs.scannet import ScanNetPairs

K = np.array([[577.0, 0, 318.9], [0, 578.0, 242.7], [0, 0, 1]])


@pytest.fixture
def root(tmp_path):
    names = np.array([[707, 0, 15, 585], [707, 0, 15, 600], [708, 1, 5, 10]])
    np.savez(tmp_path / "test.npz", name=names)
    np.savez(tmp_path / "intrinsics.npz", scene0707_00=K, scene0708_01=K)
    rng = np.random.default_rng(0)
    for scene, frames in (("scene0707_00", (15, 585, 600)), ("scene0708_01", (5, 10))):
        for folder in ("color", "depth", "pose"):
            (tmp_path / scene / folder).mkdir(parents=True)
        for frame in frames:
            pixels = rng.integers(256, size=(96, 128, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / scene / f"color/{frame}.jpg")
            depth = np.full((480, 640), 1000 + frame, np.uint16)
            depth[0, 0] = 0
            Image.fromarray(depth).save(tmp_path / scene / f"depth/{frame}.png")
            pose = np.eye(4)
            pose[0, 3] = frame / 100
            np.savetxt(tmp_path / scene / f"pose/{frame}.txt", pose)
    return tmp_path


def opened(root, limit=None):
    return ScanNetPairs(root, split="test", limit=limit)


def test_a_view_of_two_pairs_is_there_once(root):
    found = opened(root)
    assert len(found) == 5
    assert found.groups == ("scene0707_00",) * 3 + ("scene0708_01",) * 2
    assert found.pairs == [(0, 1), (0, 2), (3, 4)]
    assert len(opened(root, limit=1).pairs) == 1


def test_depth_is_metres_and_poses_lead_to_the_camera(root):
    shot = opened(root).shot(1)
    assert shot.points[2, 100, 100].item() == pytest.approx(1.585)
    assert shot.points[:, 0, 0].tolist() == [0.0, 0.0, 0.0]
    assert shot.points[0, 10, 20].item() == pytest.approx((20.5 - 318.9) / 577 * 1.585, rel=1e-5)
    assert shot.pose[0, 3].item() == pytest.approx(-5.85)
    image = opened(root).image(0)
    assert (image.height, image.width) == opened(root).size(0) == (480, 640)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("test.npz", "test.npz does not exist"),
        ("scene0707_00/pose/585.txt", "585.txt does not exist"),
        ("scene0708_01/color/5.jpg", "5.jpg does not exist"),
    ],
)
def test_what_is_missing_is_named(root, broken, message):
    (root / broken).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        opened(root)


def test_lists_that_do_not_fit_are_refused(root):
    np.savez(root / "intrinsics.npz", scene0707_00=K)
    with pytest.raises(ValueError, match="no matrix for scene0708_01"):
        opened(root)
    np.savez(root / "test.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match=r"expected `name` \[pairs, 4\]"):
        opened(root)
