from dataclasses import replace

import numpy as np
import pytest

from franca.data.scenes.compose import look_at
from franca.data.scenes.render import (
    Exposure,
    Light,
    Room,
    Scene,
    Solid,
    hue_rotation,
    render,
)
from franca.data.scenes.textures import Material
from franca.randomness import numpy_generator

GREY = Material(None, np.zeros((1, 1), np.float32), (np.full(3, 0.5),) * 2, 1.0, 0.0, (0.0, 0.0))
ROOM = Room(np.array([-3.0, 0.0, -4.0]), np.array([3.0, 3.0, 5.0]), floor=GREY, wall=GREY)
LIGHT = Light(np.array([0.0, 1.0, 0.0]), ambient=0.5, haze=np.zeros(3), haze_per_metre=0.0)
CAMERA = look_at(np.array([0.0, 1.0, 4.0]), np.array([0.0, 1.0, 0.0]), roll=0.0, focal=1.2)
SILENT = Exposure(gain=1.0, hue=0.0, noise=0.0)


def _ball(z, *, label=1, instance=1, radius=0.5):
    center = np.array([0.0, 1.0, z])
    return Solid("ball", label, instance, center, np.eye(3), radius, GREY, None)


def _render(*solids, camera=CAMERA, light=LIGHT, exposure=SILENT, supersample=2):
    scene = Scene(camera, ROOM, light, solids)
    return render(
        scene,
        height=48,
        width=64,
        supersample=supersample,
        exposure=exposure,
        noise=numpy_generator(0, "noise"),
    )


def test_wall_ahead_has_one_depth_and_faces_the_camera():
    view = _render()
    assert view.depth[24, 32] == pytest.approx(8.0, abs=1e-4)
    np.testing.assert_allclose(view.depth[20:28, 28:36], 8.0, rtol=1e-5)
    np.testing.assert_allclose(view.normals[24, 32], [0, 0, -1], atol=1e-6)


def test_floor_is_below_with_its_normal_up():
    view = _render()
    np.testing.assert_allclose(view.normals[-1, 32], [0, -1, 0], atol=1e-6)
    assert view.world[-1, 32, 1] == pytest.approx(0, abs=1e-5)


def test_ball_covers_its_projected_disc():
    view = _render(_ball(0.0))
    assert view.depth[24, 32] == pytest.approx(4 - 0.45, abs=0.01)
    radius = 1.2 * 48 * 0.45 / np.sqrt(4**2 - 0.45**2)
    assert (view.semantic == 1).sum() == pytest.approx(np.pi * radius**2, rel=0.03)


def test_nearer_solid_hides_the_farther_in_either_order():
    near, far = _ball(1.0, instance=1, radius=0.3), _ball(-1.0, label=2, instance=2, radius=1.2)
    one, other = _render(near, far), _render(far, near)
    np.testing.assert_array_equal(one.instance, other.instance)
    np.testing.assert_array_equal(one.image, other.image)
    assert one.instance[24, 32] == 1
    assert set(np.unique(one.semantic)) == {0, 1, 2}


def test_world_points_project_onto_the_positions_they_were_sampled_at():
    camera = look_at(np.array([1.5, 2.0, 3.0]), np.array([0.0, 0.7, 0.0]), roll=0.4, focal=1.1)
    view = _render(_ball(0.0), camera=camera)
    positions, depth = camera.project(view.world.reshape(-1, 3).T, 48, 64)
    np.testing.assert_allclose(positions.T, view.positions.reshape(-1, 2), atol=1e-3)
    np.testing.assert_allclose(depth, view.depth.ravel(), rtol=1e-4)


def test_normals_are_unit_and_face_the_camera():
    view = _render(_ball(0.0))
    np.testing.assert_allclose(np.linalg.norm(view.normals, axis=-1), 1, atol=1e-4)
    rays = (view.positions - [32, 24]) / (1.2 * 48)
    rays = np.concatenate([rays, np.ones((48, 64, 1))], axis=-1)
    assert ((rays * view.normals).sum(-1) < 0.02).all()


def test_camera_sees_its_target_in_the_middle_whatever_its_roll():
    for roll in (0.0, 0.7, -2.0):
        camera = look_at(
            np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.1, -1.0]), roll=roll, focal=1.0
        )
        where, depth = camera.project(np.array([[0.2], [0.1], [-1.0]]), 48, 64)
        np.testing.assert_allclose(where[:, 0], [32, 24], atol=1e-9)
        assert depth[0] == pytest.approx(np.sqrt(0.8**2 + 1.9**2 + 4**2))
        np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)


def test_light_falls_on_the_side_that_faces_it():
    view = _render(_ball(0.0)).image.astype(int)
    assert view[19, 32, 0] > view[29, 32, 0] + 20


def test_haze_hides_what_is_far():
    dark = replace(LIGHT, haze=np.zeros(3), haze_per_metre=0.3)
    clear, hazy = _render().image.mean(), _render(light=dark).image.mean()
    assert hazy < 0.6 * clear


def test_more_rays_only_smooth_edges():
    coarse, fine = (_render(_ball(0.0), supersample=n).image.astype(int) for n in (1, 3))
    difference = np.abs(coarse - fine).max(-1)
    assert 0 < (difference > 8).mean() < 0.06


def test_hue_rotation_keeps_luma_and_turns_back():
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma @ hue_rotation(0.8), luma, atol=2e-3)
    np.testing.assert_allclose(hue_rotation(0.8) @ hue_rotation(-0.8), np.eye(3), atol=1e-9)


def test_exposure_scales_and_adds_grain():
    still = _render().image.astype(float)
    bright = _render(exposure=Exposure(1.5, 0.0, 0.0)).image.astype(float)
    grainy = _render(exposure=Exposure(1.0, 0.0, 0.05)).image.astype(float)
    assert bright.mean() == pytest.approx(1.5 * still.mean(), rel=0.02)
    assert (grainy - still).std() == pytest.approx(0.05 * 255, rel=0.1)
