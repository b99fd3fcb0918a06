"""The rendered scenes, read back."""

import json

import numpy as np
import pytest
import torch

from franca.data.scenes.layouts import EncodedView, encode, encode_array, write_views
from franca.data.scenes.samples import Canvas, views
from franca.eval.cameras import carry, motion_between, project
from franca.eval.inputs.rendered_views import RenderedViews
from tests.franca.eval.worlds import seen_wall


@pytest.fixture
def root(tmp_path):
    write_views(tmp_path, {name: seen_wall(seed) for seed, name in enumerate("ab")})
    return tmp_path


def opened(root, limit=None):
    return RenderedViews(root, split="val", limit=limit)


def test_the_first_view_of_each_scene_meets_the_others(root):
    found = opened(root)
    assert len(found) == 6
    assert found.groups == ("a", "a", "a", "b", "b", "b")
    assert found.pairs == [(0, 1), (0, 2), (3, 4), (3, 5)]
    assert [list(scene) for scene in found.scenes] == [[0, 1, 2], [3, 4, 5]]
    assert opened(root, limit=1).groups in (("a",) * 3, ("b",) * 3)


def test_geometry_and_camera_are_those_written(root):
    shot = opened(root).shot(1)
    assert shot.points[2].unique().tolist() == [2.0]
    # The middle of pixel (8, 8) is half a pixel beside the optical axis.
    assert shot.points[:2, 8, 8].tolist() == pytest.approx([1 / 16, 1 / 16])
    assert shot.pose[:, 3].tolist() == pytest.approx([-0.1, 0.0, 0.0])
    assert opened(root).size(0) == (16, 16)


def test_rendered_views_agree_on_where_things_are(tmp_path):
    shots = views(0, "test", 0, num_views=3, canvas=Canvas(32, 32, 1))
    encoded = [
        EncodedView(
            image=encode(shot.image, encoder="PNG", quality=90),
            depth=encode_array(shot.depth),
            camera={
                "focal": camera.focal * 32,
                "center": [16.0, 16.0],
                "rotation": camera.rotation.tolist(),
                "translation": (-camera.rotation @ camera.position).tolist(),
            },
        )
        for shot, camera in shots
    ]
    write_views(tmp_path, {"scene": encoded})
    first, second = (opened(tmp_path).shot(index) for index in (0, 1))
    points = first.points.flatten(1).T
    world = (points - first.pose[:, 3]) @ first.pose[:, :3]
    np.testing.assert_allclose(world, shots[0][0].world.reshape(-1, 3), atol=1e-3)
    moved = carry(points, motion_between(first.pose, second.pose))
    places, depth = shots[1][1].project(shots[0][0].world.reshape(-1, 3).T, 32, 32)
    ahead = torch.from_numpy(depth > 0.1)
    np.testing.assert_allclose(
        project(moved, second.intrinsics)[ahead], places.T[ahead.numpy()], atol=0.1, rtol=1e-2
    )


def test_digest_knows_depth_cameras_and_selection(root):
    before = opened(root).digest
    assert opened(root, limit=1).digest != before
    np.save(root / "a/depth/000.npy", np.ones((16, 16)))
    after = opened(root).digest
    assert after != before
    listing = root / "b/cameras.json"
    cameras = json.loads(listing.read_text())
    cameras["001"]["focal"] = 20.0
    listing.write_text(json.dumps(cameras))
    assert opened(root).digest != after


def test_what_is_missing_is_named(root, tmp_path):
    (root / "b/depth/002.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"b/depth/002.npy: a view that cameras.json"):
        opened(root)
    with pytest.raises(FileNotFoundError, match=r"cameras.json; found none"):
        opened(tmp_path / "nowhere")
