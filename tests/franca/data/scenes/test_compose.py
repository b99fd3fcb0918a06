import numpy as np
import pytest

from franca.data.scenes.compose import (
    CLASSES,
    LUMA,
    color,
    contrasting_colors,
    furnish,
    group_subject,
    pose,
    rotation_y,
    single_subject,
)
from franca.data.scenes.shapes import surface_points
from franca.randomness import numpy_generator


def _rng(index=0):
    return numpy_generator(0, "compose", index)


def test_color_has_the_luma_that_was_asked_for():
    for index in range(50):
        drawn = color(_rng(index), luma=(0.3, 0.4))
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        assert 0.3 <= LUMA @ drawn <= 0.4


def test_texture_colors_contrast_with_either_one_brighter():
    gaps = [LUMA @ np.subtract(*contrasting_colors(_rng(index))) for index in range(50)]
    assert np.abs(gaps).min() > 0.2
    assert 10 < (np.array(gaps) > 0).sum() < 40


def test_pose_tilts_the_axis_by_the_tilt():
    upright = pose(yaw=0.5, tilt=0.0, lean=1.0) @ [0, 1, 0]
    np.testing.assert_allclose(upright, [0, 1, 0], atol=1e-12)
    tilted = pose(yaw=0.5, tilt=0.3, lean=1.0) @ [0, 1, 0]
    assert tilted[1] == pytest.approx(np.cos(0.3))


@pytest.mark.parametrize("index", range(6))
def test_solids_stand_on_the_floor_of_a_room_around_the_camera(index):
    subject = group_subject(_rng(index), ["cone", "disc", "cube"], [4, 8, 2])
    scene = furnish(_rng(index), subject, clutter=3)
    assert len(scene.solids) == 6
    for solid in scene.solids:
        heights = (solid.rotation @ surface_points(solid.shape))[1] * solid.radius
        assert (heights + solid.center[1]).min() == pytest.approx(0, abs=1e-6)
    for angle in (0.0, 0.5, -0.5):
        position = 1.2 * rotation_y(angle) @ scene.camera.position
        assert (position > scene.room.low).all()
        assert (position < scene.room.high).all()


def test_objects_of_a_group_keep_apart():
    subject = group_subject(_rng(), list(CLASSES[:4]), [1, 2, 3, 4])
    for one in subject.solids:
        for other in subject.solids:
            gap = np.hypot(*(one.center - other.center)[[0, 2]])
            assert one is other or gap >= 0.85 * (one.radius + other.radius) - 1e-9


def test_texture_shows_the_same_period_near_and_far():
    shares = []
    for index in range(40):
        subject = single_subject(_rng(index), "cube", label=2)
        solid, camera = subject.solids[0], subject.camera
        distance = np.linalg.norm(solid.center - camera.position) - 0.5 * solid.radius
        shares.append(solid.material.period * camera.focal / distance)
    assert min(shares) > 0.06
    assert max(shares) < 0.21


def test_place_in_the_image_says_little():
    middles = []
    for index in range(60):
        subject = single_subject(_rng(index), "ball", label=1)
        where, _ = subject.camera.project(subject.solids[0].center[:, None], 64, 64)
        middles.append(where[:, 0])
    assert (np.std(middles, axis=0) > 4).all()
