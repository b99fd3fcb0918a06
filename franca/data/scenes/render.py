"""Ray casting of a room with solids in it: image, labels and geometry in one pass.

World coordinates are in metres with y up. The camera frame is the one of computer vision: x right,
y down, z forward. Pixel coordinates put the middle of the top left pixel at (0.5, 0.5).
"""

# mypy: disable-error-code="no-any-return"
# NumPy types arithmetic on arrays of any dtype as Any.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from franca.data.scenes.shapes import SHAPES, surface_normals, trace
from franca.data.scenes.textures import Material, unfold

# Luma, and the rotation of chroma around it, in the YIQ colour space of NTSC.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
CAP_HEIGHT = 0.35
CAP_STRENGTH = 0.4
SHADOW_STRENGTH = 0.6


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: metres, world.
        rotation: rows are the camera's right, down and forward directions in the world.
        focal: focal length divided by the short side of the image.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float

    def rays(self, pixels: Float[np.ndarray, "2 rays"], height: int, width: int) -> np.ndarray:
        """Return unit directions in the world through pixel positions (x, y)."""
        focal = self.focal * min(height, width)
        x = (pixels[0] - width / 2) / focal
        y = (pixels[1] - height / 2) / focal
        directions = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
        directions /= np.sqrt((directions**2).sum(0))
        return self.rotation.T.astype(np.float32) @ directions

    def project(
        self, points: Float[np.ndarray, "3 points"], height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel positions (2 rows: x, y) and depths of world points."""
        x, y, z = self.rotation @ (points - self.position[:, None])
        focal = self.focal * min(height, width)
        return np.stack([x / z * focal + width / 2, y / z * focal + height / 2]), z


@dataclass(frozen=True)
class Solid:
    """A shape placed in the world.

    Attributes:
        shape: a key of `SHAPES`.
        label: semantic id; 0 for clutter, which is background.
        instance: from 1 up for labelled solids, 0 for clutter.
        center: metres, world.
        rotation: object to world.
        radius: of the bounding sphere, metres.
        material: paint.
        cap: colour that tints the upper part, the same part in all instances of a class.
    """

    shape: str
    label: int
    instance: int
    center: np.ndarray
    rotation: np.ndarray
    radius: float
    material: Material
    cap: np.ndarray | None


@dataclass(frozen=True)
class Room:
    """A closed box, seen from inside, from corner `low` to corner `high`; the floor is y = low."""

    low: np.ndarray
    high: np.ndarray
    floor: Material
    wall: Material


@dataclass(frozen=True)
class Light:
    """A distant lamp, ambient light and haze.

    Attributes:
        direction: unit vector towards the lamp.
        ambient: share of light from everywhere, the rest is Lambert's.
        haze: colour that distance fades into.
        haze_per_metre: rate of fading.
    """

    direction: np.ndarray
    ambient: float
    haze: np.ndarray
    haze_per_metre: float


@dataclass(frozen=True)
class Exposure:
    """What the sensor does: gain, a turn of the hue (radians) and noise (standard deviation)."""

    gain: float
    hue: float
    noise: float


@dataclass(frozen=True)
class Scene:
    """Everything that decides an image, save the sensor."""

    camera: Camera
    room: Room
    light: Light
    solids: Sequence[Solid]


@dataclass(frozen=True)
class Rendering:
    """An image and its ground truth, all of the same height and width.

    Attributes:
        image: RGB.
        semantic: class ids, 0 background.
        instance: instance ids, 0 background.
        depth: distance along the optical axis, metres.
        normals: unit, camera frame.
        world: metres, world coordinates of the sampled surface point.
        positions: (x, y) in pixels at which labels and geometry were sampled.
    """

    image: UInt8[np.ndarray, "height width 3"]
    semantic: UInt8[np.ndarray, "height width"]
    instance: UInt8[np.ndarray, "height width"]
    depth: Float32[np.ndarray, "height width"]
    normals: Float32[np.ndarray, "height width 3"]
    world: Float32[np.ndarray, "height width 3"]
    positions: Float32[np.ndarray, "height width 2"]


@dataclass
class _Surface:
    """What each ray sees first; solids claim rays from the room and from each other."""

    distance: Float32[np.ndarray, " rays"]
    owner: Int[np.ndarray, " rays"]
    points: Float32[np.ndarray, "3 rays"]
    normals: Float32[np.ndarray, "3 rays"]
    albedo: Float32[np.ndarray, "3 rays"]


def render(
    scene: Scene,
    *,
    height: int,
    width: int,
    supersample: int,
    exposure: Exposure,
    noise: np.random.Generator,
) -> Rendering:
    """Render a scene.

    Colour is the mean of `supersample` squared rays a pixel; labels and geometry come from the
    first of them, because the mean of two labels is not a label.
    """
    pixels = _sample_positions(height, width, supersample)
    directions = scene.camera.rays(pixels, height, width)
    surface = _first_hits(scene, directions)
    color = _shade(scene, surface)
    color = color.reshape(3, height, supersample, width, supersample).mean((2, 4))
    first = np.s_[::supersample, ::supersample]
    grid = (height * supersample, width * supersample)
    owner = surface.owner.reshape(grid)[first]
    labels = np.array([0, *(solid.label for solid in scene.solids)], np.uint8)
    instances = np.array([0, *(solid.instance for solid in scene.solids)], np.uint8)
    forward = scene.camera.rotation[2].astype(np.float32)
    to_camera = scene.camera.rotation.astype(np.float32)
    return Rendering(
        image=_expose(color, exposure=exposure, noise=noise),
        semantic=labels[owner + 1],
        instance=instances[owner + 1],
        depth=(surface.distance * (forward @ directions)).reshape(grid)[first],
        normals=_as_image(to_camera @ surface.normals, grid)[first],
        world=_as_image(surface.points, grid)[first],
        positions=_as_image(pixels, grid)[first],
    )


def _sample_positions(height: int, width: int, supersample: int) -> Float32[np.ndarray, "2 rays"]:
    y = (np.arange(height * supersample, dtype=np.float32) + 0.5) / supersample
    x = (np.arange(width * supersample, dtype=np.float32) + 0.5) / supersample
    columns, rows = np.meshgrid(x, y)
    return np.stack([columns.ravel(), rows.ravel()])


def _as_image(rows: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return np.moveaxis(rows.reshape(-1, *grid), 0, -1)


def _first_hits(scene: Scene, directions: Float32[np.ndarray, "3 rays"]) -> _Surface:
    """Find the nearest surface on each ray and its paint."""
    surface = _cast_on_room(scene, directions)
    for index, solid in enumerate(scene.solids):
        _cast_on_solid(surface, solid, index, scene.camera.position, directions)
    return surface


def _cast_on_solid(
    surface: _Surface,
    solid: Solid,
    index: int,
    position: np.ndarray,
    directions: Float32[np.ndarray, "3 rays"],
) -> None:
    """Let a solid claim the rays that it stops first."""
    offset = ((position - solid.center) / solid.radius).astype(np.float32)
    along = offset @ directions
    near = np.flatnonzero((along < 0) & (along**2 > offset @ offset - 1))
    to_object = solid.rotation.T.astype(np.float32)
    origin, local = to_object @ offset, to_object @ directions.take(near, axis=1)
    shape = SHAPES[solid.shape]
    travelled, hit = trace(shape, origin, local)
    hit &= travelled * solid.radius < surface.distance[near]
    rays, travelled = near[hit], travelled[hit]
    points = origin[:, None] + local.take(np.flatnonzero(hit), axis=1) * travelled
    normals = surface_normals(shape, points)
    u, v = unfold(points * solid.radius, normals)
    albedo = solid.material.albedo(u, v)
    if solid.cap is not None:
        share = CAP_STRENGTH * (points[1] > CAP_HEIGHT).astype(np.float32)
        albedo += share * (solid.cap.astype(np.float32)[:, None] - albedo)
    surface.distance[rays] = travelled * solid.radius
    surface.owner[rays] = index
    start = position.astype(np.float32)[:, None]
    surface.points[:, rays] = start + directions.take(rays, axis=1) * surface.distance[rays]
    surface.normals[:, rays] = solid.rotation.astype(np.float32) @ normals
    surface.albedo[:, rays] = albedo


def _cast_on_room(scene: Scene, directions: Float32[np.ndarray, "3 rays"]) -> _Surface:
    """End every ray on the floor, a wall or the ceiling."""
    ahead = np.where(np.abs(directions) < 1e-6, np.float32(1e-6), directions)
    start = scene.camera.position.astype(np.float32)[:, None]
    low, high = (
        corner.astype(np.float32)[:, None] - start for corner in (scene.room.low, scene.room.high)
    )
    exits = np.where(ahead > 0, high, low) / ahead
    distance = np.minimum(np.minimum(exits[0], exits[1]), exits[2])
    on_side = exits[0] == distance
    on_level = ~on_side & (exits[1] == distance)
    struck = np.stack([on_side, on_level, ~on_side & ~on_level])
    points = start + ahead * distance
    normals = np.where(struck, -np.sign(ahead), 0)
    u, v = unfold(points, normals)
    floor = normals[1] > 0
    albedo = np.empty_like(points)
    for part, material in ((floor, scene.room.floor), (~floor, scene.room.wall)):
        rays = np.flatnonzero(part)
        albedo[:, rays] = material.albedo(u[rays], v[rays])
    albedo *= np.where(floor, _shadow(scene.solids, points), 1)
    owner = np.full(distance.shape, -1)
    return _Surface(distance, owner, points, normals, albedo)


def _shadow(
    solids: Sequence[Solid], points: Float32[np.ndarray, "3 points"]
) -> Float32[np.ndarray, " points"]:
    """Darken the floor below solids, as light from everywhere does."""
    light = np.ones(points.shape[1], np.float32)
    for solid in solids:
        x, _, z = points - solid.center.astype(np.float32)[:, None]
        near = np.exp((x * x + z * z) * (-1 / (0.7 * solid.radius**2)))
        light *= 1 - SHADOW_STRENGTH * near
    return light


def _shade(scene: Scene, surface: _Surface) -> Float32[np.ndarray, "3 rays"]:
    light = scene.light
    facing = np.maximum(light.direction.astype(np.float32) @ surface.normals, 0)
    lit = surface.albedo * (light.ambient + (1 - light.ambient) * facing)
    clear = np.exp(-light.haze_per_metre * surface.distance)
    return lit * clear + light.haze[:, None].astype(np.float32) * (1 - clear)


def hue_rotation(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the matrix that turns the hue of an RGB colour and keeps its luma."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(RGB_TO_YIQ) @ turn @ RGB_TO_YIQ


def _expose(
    color: Float32[np.ndarray, "3 height width"],
    *,
    exposure: Exposure,
    noise: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    turned = np.tensordot(hue_rotation(exposure.hue).astype(np.float32), color, axes=1)
    grain = noise.standard_normal(turned.shape, np.float32)
    signal = turned * exposure.gain + exposure.noise * grain
    levels = np.clip(np.rint(signal * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))
