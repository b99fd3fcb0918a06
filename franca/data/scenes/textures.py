"""Textures of the embedded world: a pattern family for each class, others for what lies behind.

A pattern maps surface coordinates (u, v), in units of its period, to a mixing weight in [0, 1]
between two colours. Colours, phase, rotation and period are drawn for each object, so that colour
says nothing about the class and the kind of pattern says it all.
"""

# mypy: disable-error-code="no-any-return"
# NumPy types arithmetic on arrays of any dtype as Any.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

Coordinates = Float32[np.ndarray, " points"]
Table = Float32[np.ndarray, "cells cells"]
Pattern = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

TABLE_CELLS = 32
TWO_PI = np.float32(2 * np.pi)


def _sharpen(signal: Coordinates, gain: float) -> Coordinates:
    """Turn a zero-centred signal into soft-edged ink: antialiasing that costs one pass."""
    return np.clip(0.5 + gain * signal, 0, 1)


def _lookup(table: Table, u: Coordinates, v: Coordinates) -> Coordinates:
    """Read a wrapped table of random numbers at the cell of (u, v)."""
    column = np.floor(u).astype(np.int32) % TABLE_CELLS
    row = np.floor(v).astype(np.int32) % TABLE_CELLS
    return table[row, column]


def smooth_noise(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Interpolate random numbers given at integer (u, v): smooth in between, wrapped at 32."""
    left, top = np.floor(u), np.floor(v)
    x, y = u - left, v - top
    x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
    column = left.astype(np.int32) % TABLE_CELLS
    row = top.astype(np.int32) % TABLE_CELLS
    right, below = (column + 1) % TABLE_CELLS, (row + 1) % TABLE_CELLS
    upper = table[row, column] * (1 - x) + table[row, right] * x
    lower = table[below, column] * (1 - x) + table[below, right] * x
    return (upper * (1 - y) + lower * y).astype(np.float32)


def dots(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Discs on a triangular lattice."""
    del table
    u, v = u * 1.15, v * 1.15
    half, height = 0.5, np.float32(np.sqrt(3) / 2)
    waves = np.cos(TWO_PI * u) + np.cos(TWO_PI * (u * half + v * height))
    waves += np.cos(TWO_PI * (u * half - v * height))
    return _sharpen(waves - 0.55, 1.2)


def checks(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """A chessboard."""
    del table
    return _sharpen(np.sin(4.4 * u) * np.sin(4.4 * v), 3.0)


def stripes(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Parallel bands."""
    del v, table
    return _sharpen(np.sin(TWO_PI * u), 1.5)


def zigzag(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Chevron bands."""
    del table
    teeth = np.abs(v * 0.7 % 1 - 0.5) * 2.0
    return _sharpen(np.sin(TWO_PI * (u + teeth)), 1.5)


def speckle(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Fine grain without direction."""
    return _sharpen(_lookup(table, 3.6 * u, 3.6 * v) - 0.5, 2.0)


def grid(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Thin lines in two directions."""
    del table
    line = np.maximum(np.abs(np.cos(np.pi * u)), np.abs(np.cos(np.pi * v)))
    return _sharpen(line - 0.90, 7.0)


def camouflage(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Large irregular blots."""
    return _sharpen(smooth_noise(u * 0.42, v * 0.42, table) - 0.5, 6.0)


def bricks(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Courses of two-by-one bricks, each of its own shade, with joints."""
    height = v * 1.2
    course = np.floor(height)
    along = u * 0.4 + 0.5 * (course % 2)
    joint = (height - course < 0.3) | (along % 1 < 0.12)
    shade = 0.25 * _lookup(table, along, course)
    return np.where(joint, np.float32(1), shade)


def rings(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Concentric circles around each point of a square lattice."""
    del table
    x = (u * 0.4) % 1 - 0.5
    y = (v * 0.4) % 1 - 0.5
    return _sharpen(np.sin(np.sqrt(x * x + y * y) * 2.4 * TWO_PI), 1.5)


def crosses(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Plus signs on a square lattice."""
    del table
    x = np.abs((u * 0.7) % 1 - 0.5)
    y = np.abs((v * 0.7) % 1 - 0.5)
    return _sharpen(0.12 - np.maximum(np.minimum(x, y), np.maximum(x, y) - 0.3), 8.0)


def veins(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Marble: thin wandering lines."""
    bend = smooth_noise(u * 0.5, v * 0.5, table)
    return _sharpen(0.3 - np.abs(np.sin(7 * bend + u)), 3.0)


def clouds(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Soft noise in two octaves."""
    fine = smooth_noise(v * 2.3, u * 2.3, table)
    return 0.7 * smooth_noise(u, v, table) + 0.3 * fine


def planks(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Broad boards of unequal shade."""
    return _lookup(table, u * 0.15, v * 0.9)


def flagstones(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """Square slabs of unequal shade."""
    return _lookup(table, u * 0.6, v * 0.6)


def plaster(u: Coordinates, v: Coordinates, table: Table) -> Coordinates:
    """A shade that changes across metres only."""
    return smooth_noise(u * 0.4, v * 0.4, table)


CLASS_PATTERNS: Mapping[str, Pattern] = MappingProxyType(
    {
        "ball": dots,
        "cube": checks,
        "cylinder": stripes,
        "cone": zigzag,
        "torus": speckle,
        "octahedron": grid,
        "dumbbell": camouflage,
        "disc": bricks,
        "capsule": rings,
        "cross": crosses,
        "pyramid": veins,
    }
)
BACKGROUND_PATTERNS: tuple[Pattern, ...] = (clouds, planks, flagstones, plaster)


@dataclass(frozen=True)
class Material:
    """A pattern with everything that an instance draws for itself.

    Attributes:
        pattern: the pattern, or None for paint of one colour.
        table: random numbers for patterns that need them.
        colors: RGB of weight 0 and weight 1, each in [0, 1].
        period: length of one period in the units of the surface.
        rotation: turn of the pattern in its surface, radians.
        phase: offset of the pattern, in periods.
    """

    pattern: Pattern | None
    table: np.ndarray
    colors: tuple[np.ndarray, np.ndarray]
    period: float
    rotation: float
    phase: tuple[float, float]

    def albedo(self, u: Coordinates, v: Coordinates) -> Float32[np.ndarray, "3 points"]:
        """Return the reflected colour at surface coordinates."""
        first, second = (color[:, None].astype(np.float32) for color in self.colors)
        if self.pattern is None:
            return np.broadcast_to(first, (3, u.size)).copy()
        cosine = np.float32(np.cos(self.rotation) / self.period)
        sine = np.float32(np.sin(self.rotation) / self.period)
        along = cosine * u - sine * v + np.float32(self.phase[0])
        across = sine * u + cosine * v + np.float32(self.phase[1])
        weight = self.pattern(along, across, self.table)
        return first + (second - first) * weight


def unfold(
    points: Float32[np.ndarray, "3 points"], normals: Float32[np.ndarray, "3 points"]
) -> tuple[Coordinates, Coordinates]:
    """Give surface points two coordinates: drop the axis that the normal follows most.

    The axes count unequally, or rounding would choose at random on faces along a diagonal.
    """
    x, y, z = np.abs(normals)
    y, z = 0.95 * y, 1.05 * z
    along_x = (x >= y) & (x >= z)
    along_z = ~along_x & (z >= y)
    x, y, z = points
    u = np.where(along_x, z, x)
    v = np.where(along_x | along_z, y, z)
    return u, v
