import numpy as np
import pytest

from franca.data.scenes.compose import CLASSES, FAR_CLASSES, NEAR_CLASSES
from franca.data.scenes.textures import (
    BACKGROUND_PATTERNS,
    CLASS_PATTERNS,
    TABLE_CELLS,
    Material,
    smooth_noise,
    unfold,
)
from franca.randomness import numpy_generator

TABLE = numpy_generator(0, "table").random((TABLE_CELLS, TABLE_CELLS), np.float32)


def _plane(size=64, periods=12.0):
    steps = np.linspace(0, periods, size, dtype=np.float32)
    u, v = np.meshgrid(steps, steps)
    return u.ravel(), v.ravel()


@pytest.mark.parametrize("pattern", [*CLASS_PATTERNS.values(), *BACKGROUND_PATTERNS])
def test_pattern_mixes_two_colors(pattern):
    weight = pattern(*_plane(), TABLE)
    assert weight.dtype == np.float32
    assert 0 <= weight.min() < 0.3
    assert 0.5 < weight.max() <= 1


def test_each_class_has_a_pattern_of_its_own():
    patterns = [CLASS_PATTERNS[name] for name in (*CLASSES, *NEAR_CLASSES, *FAR_CLASSES)]
    assert len(set(patterns)) == len(patterns)


def test_statistics_that_ignore_rotation_tell_the_classes_apart():
    def statistics(name, turn):
        material = Material(
            CLASS_PATTERNS[name], TABLE, (np.zeros(3), np.ones(3)), 1.0, turn, (3.0, 7.0)
        )
        gray = material.albedo(*_plane())[0].reshape(64, 64)
        power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
        frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
        bands = np.digitize(frequency.ravel(), np.linspace(0, 0.5, 17))
        radial = np.bincount(bands, power.ravel(), 18)
        down, across = np.gradient(gray)
        tensor = np.cov(np.stack([down.ravel(), across.ravel()]))
        small, large = np.linalg.eigvalsh(tensor)
        ink = gray.mean() * (1 - gray.mean())
        return np.array([*radial / radial.sum(), 4 * ink, (large - small) / (large + small)])

    library = {name: statistics(name, 0.3) for name in CLASSES}
    for name in CLASSES:
        turned = statistics(name, 1.1)
        distances = {other: np.abs(turned - library[other]).sum() for other in CLASSES}
        assert min(distances, key=distances.get) == name


def test_smooth_noise_meets_its_table_and_wraps():
    u, v = (side.ravel().astype(np.float32) for side in np.meshgrid(np.arange(40), np.arange(40)))
    wrapped = np.pad(TABLE, (0, 8), mode="wrap").ravel()
    np.testing.assert_allclose(smooth_noise(u, v, TABLE), wrapped, atol=1e-6)


def test_plain_paint_has_one_color():
    paint = Material(None, TABLE, (np.array([0.1, 0.2, 0.3]),) * 2, 1.0, 0.0, (0.0, 0.0))
    albedo = paint.albedo(*_plane())
    np.testing.assert_allclose(albedo, np.repeat([[0.1], [0.2], [0.3]], 64 * 64, 1), atol=1e-6)


def test_period_scales_the_pattern():
    def stripes(period):
        material = Material(
            CLASS_PATTERNS["cylinder"], TABLE, (np.zeros(3), np.ones(3)), period, 0.0, (0.0, 0.0)
        )
        u = np.linspace(0, 8, 4000, dtype=np.float32)
        gray = material.albedo(u, np.zeros_like(u))[0]
        return int((np.diff(np.sign(gray - 0.5)) != 0).sum())

    assert stripes(0.5) == pytest.approx(2 * stripes(1.0), abs=1)


def test_unfold_drops_the_axis_of_the_normal():
    points = np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3]], np.float32)
    normals = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    u, v = unfold(points, normals)
    assert list(zip(u, v, strict=True)) == [(3, 2), (1, 3), (1, 2)]


def test_unfold_chooses_one_axis_for_a_diagonal_face():
    rng = numpy_generator(0, "unfold")
    points = rng.random((3, 500), np.float32)
    normals = (np.full((3, 500), 0.57735) + rng.uniform(-1e-4, 1e-4, (3, 500))).astype(np.float32)
    u, v = unfold(points, normals)
    np.testing.assert_array_equal(u, points[0])
    np.testing.assert_array_equal(v, points[1])
