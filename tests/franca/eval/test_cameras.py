"""Cameras: there and back, and what a motion does to angles and places."""

import numpy as np
import pytest
import torch

from franca.eval.cameras import carry, motion_between, project, rotation_angle, unproject


def turn(degrees):
    angle = np.radians(degrees)
    return torch.tensor(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]],
        dtype=torch.float32,
    )


CAMERA = torch.tensor([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]])


def pose(degrees, *shift):
    return torch.cat([turn(degrees), torch.tensor(shift)[:, None]], dim=1)


def test_what_is_unprojected_is_seen_where_it_was():
    depth = torch.rand(24, 32, generator=torch.Generator().manual_seed(0)) + 0.5
    points = unproject(depth, CAMERA)
    torch.testing.assert_close(points[2], depth)
    places = project(points.flatten(1).T, CAMERA)
    assert places[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)  # the middle of a pixel
    assert places[-1].tolist() == pytest.approx([31.5, 23.5], abs=1e-4)


def test_unknown_depth_has_no_place():
    points = unproject(torch.tensor([[0.0, torch.nan, torch.inf, -1.0, 2.0]]), CAMERA)
    assert (points[:, 0, :4] == 0).all()
    assert (points[2, 0, 4] == 2.0).all()


def test_a_motion_leads_from_one_camera_to_the_other():
    world = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
    first, second = pose(20.0, 0.3, 0.1, 2.0), pose(65.0, -1.0, 0.0, 3.0)
    motion = motion_between(first, second)
    torch.testing.assert_close(carry(carry(world, first), motion), carry(world, second))
    assert rotation_angle(motion) == pytest.approx(45.0, abs=1e-3)
    assert rotation_angle(motion_between(first, first)) == pytest.approx(0.0, abs=0.05)
