"""Shapes of the embedded world: signed distances of solids that fit the unit sphere.

A shape is a function from points (3 rows: x, y up, z; object coordinates) to a distance that never
exceeds the true one outside the solid, which is all that sphere tracing asks for (Hart, 1996).
"""

# mypy: disable-error-code="no-any-return"
# NumPy types arithmetic on arrays of any dtype as Any.

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float32

Points = Float32[np.ndarray, "3 points"]
Distances = Float32[np.ndarray, " points"]
Shape = Callable[[np.ndarray], np.ndarray]

MAX_STEPS = 36
STEPS_PER_SWEEP = 4
HIT_DISTANCE = 4e-3
GRADIENT_STEP = 2e-3
# Corners of a tetrahedron: four evaluations give a gradient where central differences need six.
TETRAHEDRON = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)


def ball(points: Points, *, center_y: float = 0.0, radius: float = 0.9) -> Distances:
    """Distance to a ball on the vertical axis."""
    x, y, z = points
    return np.sqrt(x * x + (y - center_y) ** 2 + z * z) - radius


def block(points: Points, *, half: tuple[float, float, float]) -> Distances:
    """Distance to a box with edges rounded by 0.04."""
    excess = np.abs(points) - (np.array(half, np.float32) - np.float32(0.04))[:, None]
    x, y, z = np.maximum(excess, 0)
    inside = np.minimum(np.maximum(np.maximum(excess[0], excess[1]), excess[2]), 0)
    return np.sqrt(x * x + y * y + z * z) + inside - 0.04


def rod(points: Points, *, radius: float, half_height: float) -> Distances:
    """Distance to an upright cylinder."""
    x, y, z = points
    side = np.sqrt(x * x + z * z) - radius
    return np.maximum(side, np.abs(y) - half_height)


def cone(points: Points) -> Distances:
    """Distance to an upright cone: apex at height 0.9, base of radius 0.8 at height -0.55."""
    x, y, z = points
    slant = float(np.hypot(1.45, 0.8))
    side = (np.sqrt(x * x + z * z) * 1.45 + (y - 0.9) * 0.8) / slant
    return np.maximum(side, -0.55 - y)


def torus(points: Points) -> Distances:
    """Distance to a lying ring: radii 0.65 and 0.33."""
    x, y, z = points
    return np.sqrt((np.sqrt(x * x + z * z) - 0.65) ** 2 + y * y) - 0.33


def octahedron(points: Points) -> Distances:
    """Distance to the convex hull of the six unit axis points."""
    x, y, z = np.abs(points)
    return (x + y + z - 0.98) * 0.57735


def dumbbell(points: Points) -> Distances:
    """Distance to two balls joined by an upright bar."""
    x, y, z = points
    balls = np.sqrt(x * x + (np.abs(y) - 0.48) ** 2 + z * z) - 0.48
    return np.minimum(balls, rod(points, radius=0.24, half_height=0.5))


def capsule(points: Points) -> Distances:
    """Distance to an upright segment thickened by 0.48."""
    x, y, z = points
    beyond = y - np.clip(y, -0.5, 0.5)
    return np.sqrt(x * x + beyond * beyond + z * z) - 0.48


def cross(points: Points) -> Distances:
    """Distance to three crossed bars."""
    size = np.abs(points)
    bars = [np.maximum(size[i], size[j]) for i, j in ((0, 1), (1, 2), (0, 2))]
    thin = np.minimum(np.minimum(bars[0], bars[1]), bars[2]) - 0.3
    return np.maximum(thin, size.max(0) - 0.88)


def pyramid(points: Points) -> Distances:
    """Distance to an upright pyramid: apex at height 0.9, square base of half side 0.6."""
    x, y, z = points
    slant = float(np.hypot(1.4, 0.6))
    side = (np.maximum(np.abs(x), np.abs(z)) * 1.4 + (y - 0.9) * 0.6) / slant
    return np.maximum(side, -0.5 - y)


def _cube(points: Points) -> Distances:
    return block(points, half=(0.6, 0.6, 0.6))


def _cylinder(points: Points) -> Distances:
    return rod(points, radius=0.6, half_height=0.75)


def _disc(points: Points) -> Distances:
    return rod(points, radius=0.9, half_height=0.3)


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "ball": ball,
        "cube": _cube,
        "cylinder": _cylinder,
        "cone": cone,
        "torus": torus,
        "octahedron": octahedron,
        "dumbbell": dumbbell,
        "disc": _disc,
        "capsule": capsule,
        "cross": cross,
        "pyramid": pyramid,
    }
)


def trace(
    shape: Shape, origin: Float32[np.ndarray, "3"], directions: Points
) -> tuple[Distances, Bool[np.ndarray, " points"]]:
    """March unit rays from one origin to the surface.

    Rays start where they enter the unit sphere and give up where they leave it. Every few steps the
    rays whose turn is over are taken out of the batch, so the cost follows the silhouette.

    Returns:
        Distance along each ray and whether it hit; distances of misses mean nothing.
    """
    along = origin @ directions
    inside = along**2 - (origin @ origin) + 1
    half_chord = np.sqrt(np.maximum(inside, 0))
    distances = np.maximum(-along - half_chord, 0)
    hit = np.zeros(along.shape, bool)
    active = np.flatnonzero((inside > 0) & (half_chord > along))
    ahead, travelled = directions.take(active, axis=1), distances[active]
    leaves = (half_chord - along)[active]
    for step in range(1, MAX_STEPS + 1):
        gap = shape(origin[:, None] + ahead * travelled)
        travelled = travelled + gap
        if step % STEPS_PER_SWEEP == 0:
            arrived = gap < HIT_DISTANCE
            hit[active[arrived]] = True
            distances[active[arrived]] = travelled[arrived]
            going = np.flatnonzero(~arrived & (travelled < leaves))
            if going.size == 0:
                break
            active, travelled, leaves = active[going], travelled[going], leaves[going]
            ahead = ahead.take(going, axis=1)
    return distances, hit


def surface_normals(shape: Shape, points: Points) -> Points:
    """Return unit outward normals at points on the surface."""
    gradient = np.zeros_like(points)
    for corner in TETRAHEDRON:
        gradient += corner[:, None] * shape(points + GRADIENT_STEP * corner[:, None])
    length = np.sqrt((gradient**2).sum(0))
    return gradient / np.maximum(length, np.float32(1e-8))


@cache
def surface_points(name: str, count: int = 64) -> Points:
    """Return well-spread landmarks on a shape's surface, the same at every call.

    A Fibonacci sphere of viewing directions looks at the centre; directions that see through a hole
    (the torus) drop out, so up to `count` points come back.
    """
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    ring = np.sqrt(1 - height**2)
    angle = np.pi * (1 + np.sqrt(5)) * index
    outward = np.stack([ring * np.cos(angle), height, ring * np.sin(angle)]).astype(np.float32)
    height_on_ray = np.full(count, 1.5, np.float32)
    for _ in range(MAX_STEPS):
        gap = SHAPES[name](outward * height_on_ray)
        height_on_ray = np.maximum(height_on_ray - gap, 0)
    hit = gap < HIT_DISTANCE
    points = (outward * height_on_ray)[:, hit]
    points.setflags(write=False)
    return points
