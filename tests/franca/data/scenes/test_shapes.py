import numpy as np
import pytest

from franca.data.scenes.shapes import SHAPES, surface_normals, surface_points, trace
from franca.randomness import numpy_generator

NAMES = sorted(SHAPES)


def _points(scale, count=2000):
    rng = numpy_generator(0, "test")
    return (scale * rng.standard_normal((3, count))).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_distance_never_exceeds_the_way_to_another_point(name):
    first, second = _points(0.7), _points(0.7)[:, ::-1].copy()
    change = np.abs(SHAPES[name](first) - SHAPES[name](second))
    assert (change <= np.linalg.norm(first - second, axis=0) + 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
def test_shape_fits_the_unit_sphere_and_has_an_inside(name):
    directions = _points(1.0)
    directions /= np.linalg.norm(directions, axis=0)
    assert (SHAPES[name](1.01 * directions) > 0).all()
    assert (SHAPES[name](_points(0.4)) < 0).mean() > 0.2


def test_trace_finds_the_ball_where_geometry_puts_it():
    origin = np.array([0.2, 0.1, 3.0], np.float32)
    towards = _points(0.35) - origin[:, None]
    towards /= np.linalg.norm(towards, axis=0)
    along = origin @ towards
    inside = along**2 - origin @ origin + 0.9**2
    distance, hit = trace(SHAPES["ball"], origin, towards)
    grazing = np.abs(inside) < 0.05
    assert hit[~grazing].tolist() == (inside > 0)[~grazing].tolist()
    assert 0.5 < hit.mean() < 1
    exact = -along - np.sqrt(np.maximum(inside, 0))
    assert np.abs(distance - exact)[hit & ~grazing].max() < 0.01


def test_trace_misses_what_lies_behind():
    behind = np.array([[0.0], [0.0], [1.0]], np.float32)
    assert not trace(SHAPES["ball"], np.array([0, 0, 3], np.float32), behind)[1].any()


def test_trace_looks_through_the_ring():
    down = np.array([[0.0], [-1.0], [0.0]], np.float32)
    _, through = trace(SHAPES["torus"], np.array([0, 2, 0], np.float32), down)
    distance, onto = trace(SHAPES["torus"], np.array([0.65, 2, 0], np.float32), down)
    assert not through[0]
    assert onto[0]
    assert distance[0] == pytest.approx(2 - 0.33, abs=0.01)


def test_normals_of_the_ball_point_away_from_its_centre():
    points = surface_points("ball")
    normals = surface_normals(SHAPES["ball"], points)
    np.testing.assert_allclose(normals, points / 0.9, atol=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_landmarks_lie_on_the_surface(name):
    points = surface_points(name)
    assert points.shape[1] >= 32
    assert np.abs(SHAPES[name](points)).max() < 0.005
    assert not points.flags.writeable
