"""What stands where: draws scenes of one object and of several, and the cameras that look at them.

Cameras look from random sides, heights and rolls and aim beside their subject, so that the place in
the image says little about what is there.
"""

# mypy: disable-error-code="no-any-return"
# NumPy types arithmetic on arrays of any dtype as Any.

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from franca.data.scenes.render import Camera, Light, Room, Scene, Solid
from franca.data.scenes.shapes import SHAPES, surface_points
from franca.data.scenes.textures import (
    BACKGROUND_PATTERNS,
    CLASS_PATTERNS,
    TABLE_CELLS,
    Material,
)

CLASSES = ("ball", "cube", "cylinder", "cone", "torus", "octahedron", "dumbbell", "disc")
# Seen nowhere else: near ones have the outline of a known class (a cylinder, a cone) without its
# texture, far ones have neither.
NEAR_CLASSES = ("capsule", "pyramid")
FAR_CLASSES = ("cross",)
# Period of the object textures as a share of the image's short side, at the object's distance. Set
# in the image rather than on the object, so that the classes look the same near and far.
SINGLE_PERIOD = (0.10, 0.13)
GROUP_PERIOD = (0.085, 0.115)
MAX_PATTERN_TURN = 0.3
# Share of its bounding disc that a solid's silhouette covers, about.
SILHOUETTE_SHARE = 0.6
DARK, BRIGHT = (0.08, 0.32), (0.55, 0.92)
# Muted, as most of the real world: vivid colours tell images apart and not classes, and
# self-supervised clusters then follow colour alone (docs/log.md).
MUTED = (0.0, 0.3)
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Subject:
    """A camera and the labelled solids in front of it, before room, light and clutter."""

    camera: Camera
    solids: tuple[Solid, ...]


def color(rng: np.random.Generator, *, luma: tuple[float, float]) -> Float[np.ndarray, "3"]:
    """Draw a muted colour of any hue, with its luma in a range."""
    chroma = np.array(colorsys.hsv_to_rgb(rng.uniform(), 1.0, 1.0))
    chroma -= LUMA @ chroma
    level = rng.uniform(*luma)
    room = min(level / -chroma.min(), (1 - level) / chroma.max())
    return np.asarray(level + rng.uniform(*MUTED) * room * chroma)


def contrasting_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two colours that stay apart in grey, either of them the brighter."""
    pair = color(rng, luma=DARK), color(rng, luma=BRIGHT)
    return pair if rng.uniform() < 0.5 else pair[::-1]


def rotation_y(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation around the vertical axis."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def rotation_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation around the third axis."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def pose(*, yaw: float, tilt: float, lean: float) -> Float[np.ndarray, "3 3"]:
    """Turn a solid by `yaw`, then tilt it by `tilt` towards the side `lean` (radians)."""
    return rotation_y(lean) @ rotation_z(tilt) @ rotation_y(-lean) @ rotation_y(yaw)


def look_at(position: np.ndarray, target: np.ndarray, *, roll: float, focal: float) -> Camera:
    """Return the camera at `position` that has `target` in the middle of its image."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(np.array([0.0, 1.0, 0.0]), -forward)
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward])
    return Camera(position=position, rotation=rotation_z(roll) @ level, focal=focal)


def object_material(rng: np.random.Generator, shape: str, *, period: float) -> Material:
    """Draw the paint of a shape: its class's pattern, everything else at random."""
    return Material(
        pattern=CLASS_PATTERNS[shape],
        table=rng.random((TABLE_CELLS, TABLE_CELLS), np.float32),
        colors=contrasting_colors(rng),
        period=period * float(np.exp(rng.uniform(-0.1, 0.1))),
        rotation=rng.uniform(-MAX_PATTERN_TURN, MAX_PATTERN_TURN),
        phase=(rng.uniform(0, TABLE_CELLS), rng.uniform(0, TABLE_CELLS)),
    )


def background_material(rng: np.random.Generator) -> Material:
    """Draw the paint of a floor or a wall: broad shades of one colour."""
    base = color(rng, luma=(0.2, 0.8))
    shift = rng.uniform(0.15, 0.45) * rng.choice([-1.0, 1.0])
    second = np.clip(base * (1 + shift) + rng.uniform(-0.08, 0.08, 3), 0, 1)
    return Material(
        pattern=BACKGROUND_PATTERNS[rng.integers(len(BACKGROUND_PATTERNS))],
        table=rng.random((TABLE_CELLS, TABLE_CELLS), np.float32),
        colors=(base, second),
        period=rng.uniform(0.3, 0.9),
        rotation=rng.uniform(-np.pi, np.pi),
        phase=(rng.uniform(0, TABLE_CELLS), rng.uniform(0, TABLE_CELLS)),
    )


def place(
    rng: np.random.Generator,
    shape: str,
    *,
    label: int,
    instance: int,
    ground: tuple[float, float],
    radius: float,
    rotation: np.ndarray,
) -> Solid:
    """Stand a painted solid on the floor at `ground` (x, z)."""
    lowest = float((rotation @ surface_points(shape))[1].min())
    return Solid(
        shape=shape,
        label=label,
        instance=instance,
        center=np.array([ground[0], -lowest * radius, ground[1]]),
        rotation=rotation,
        radius=radius,
        material=object_material(rng, shape, period=1.0),
        cap=color(rng, luma=(0.1, 0.9)),
    )


def random_pose(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Draw any yaw and a tilt up to 40 degrees towards any side."""
    yaw, lean = rng.uniform(-np.pi, np.pi, 2)
    return pose(yaw=yaw, tilt=rng.uniform(0, np.radians(40)), lean=lean)


def scale_textures(camera: Camera, solids: Sequence[Solid], *, period: float) -> tuple[Solid, ...]:
    """Give textures their metric period, so that they show `period` short sides in the image."""

    def rescaled(solid: Solid) -> Solid:
        distance = np.linalg.norm(solid.center - camera.position) - 0.5 * solid.radius
        metres = solid.material.period * period * distance / camera.focal
        return replace(solid, material=replace(solid.material, period=float(metres)))

    return tuple(rescaled(solid) for solid in solids)


def single_subject(
    rng: np.random.Generator,
    shape: str,
    *,
    label: int,
    rotation: np.ndarray | None = None,
    azimuth: float | None = None,
) -> Subject:
    """Draw one object that fills the frame, seen from a random side unless one is given."""
    radius = rng.uniform(0.3, 0.6)
    turned = random_pose(rng) if rotation is None else rotation
    solid = place(
        rng, shape, label=label, instance=1, ground=(0.0, 0.0), radius=radius, rotation=turned
    )
    focal = rng.uniform(1.0, 1.5)
    apparent = rng.uniform(0.52, 0.85)
    distance = radius * np.hypot(1, focal / apparent)
    camera = _orbit(rng, solid.center, distance=distance, azimuth=azimuth, focal=focal, aside=0.18)
    period = rng.uniform(*SINGLE_PERIOD)
    return Subject(camera, scale_textures(camera, [solid], period=period))


def group_subject(
    rng: np.random.Generator, shapes: Sequence[str], labels: Sequence[int]
) -> Subject:
    """Draw several objects, close together, each of its own size and pose."""
    radii = rng.uniform(0.32, 0.55, len(shapes))
    spots = _scatter(rng, radii)
    solids = [
        place(
            rng,
            shape,
            label=label,
            instance=number,
            ground=(float(spot[0]), float(spot[1])),
            radius=float(radius),
            rotation=random_pose(rng),
        )
        for number, (shape, label, spot, radius) in enumerate(
            zip(shapes, labels, spots, radii, strict=True), start=1
        )
    ]
    middle = np.mean([solid.center for solid in solids], axis=0)
    focal = rng.uniform(1.0, 1.5)
    area = SILHOUETTE_SHARE * np.pi * float((radii**2).sum())
    distance = focal * np.sqrt(area / rng.uniform(0.6, 0.9)) + 0.4 * radii.mean()
    camera = _orbit(rng, middle, distance=distance, azimuth=None, focal=focal, aside=0.15)
    return Subject(camera, scale_textures(camera, solids, period=rng.uniform(*GROUP_PERIOD)))


def _orbit(
    rng: np.random.Generator,
    target: np.ndarray,
    *,
    distance: float,
    azimuth: float | None,
    focal: float,
    aside: float,
) -> Camera:
    """Draw a camera on the upper half sphere, aimed up to `aside` frames beside its target."""
    around = rng.uniform(-np.pi, np.pi) if azimuth is None else azimuth
    elevation = np.radians(rng.uniform(8, 60))
    outward = np.array(
        [np.cos(elevation) * np.sin(around), np.sin(elevation), np.cos(elevation) * np.cos(around)]
    )
    position = target + distance * outward
    roll = np.radians(rng.uniform(-20, 20))
    camera = look_at(position, target, roll=roll, focal=focal)
    miss = rng.uniform(-aside, aside, 2) * distance / focal
    aim = target + camera.rotation[:2].T @ miss
    return look_at(position, aim, roll=roll, focal=focal)


def _scatter(rng: np.random.Generator, radii: np.ndarray) -> list[np.ndarray]:
    """Draw floor positions that keep bounding spheres nearly apart, as near as they will go."""
    spots: list[np.ndarray] = []
    for radius in radii:
        reach = 0.0
        while True:
            spot = rng.uniform(-reach, reach, 2)
            gaps = [
                np.hypot(*(spot - other)) - 0.85 * (radius + near)
                for other, near in zip(spots, radii, strict=False)
            ]
            if min(gaps, default=0.0) >= 0:
                break
            reach += 0.1
        spots.append(spot)
    return spots


def furnish(rng: np.random.Generator, subject: Subject, *, clutter: int) -> Scene:
    """Put a room, a light and `clutter` plain small solids around a subject."""
    camera = subject.camera
    pebbles = [_pebble(rng, camera) for _ in range(clutter)]
    x, y, z = camera.position
    # Cameras of videos and pairs swing around the middle and step back; walls stay behind them.
    reach = 1.25 * np.array([np.hypot(x, z), y, np.hypot(x, z)]) + 0.3
    low = np.minimum(-rng.uniform(1.6, 4.0, 3), -reach)
    high = np.maximum(rng.uniform(1.6, 4.0, 3), reach)
    low[1] = 0.0
    room = Room(low, high, floor=background_material(rng), wall=background_material(rng))
    return Scene(
        camera=camera, room=room, light=random_light(rng), solids=(*subject.solids, *pebbles)
    )


def random_light(rng: np.random.Generator) -> Light:
    """Draw a lamp from above, ambient light and a haze of any greyish shade."""
    tilt, around = np.radians(rng.uniform(20, 70)), rng.uniform(-np.pi, np.pi)
    level = np.cos(tilt)
    return Light(
        direction=np.array([level * np.sin(around), np.sin(tilt), level * np.cos(around)]),
        ambient=rng.uniform(0.4, 0.65),
        haze=np.full(3, rng.uniform(0.3, 0.8)) + rng.uniform(-0.1, 0.1, 3),
        haze_per_metre=rng.uniform(0.04, 0.12),
    )


def _pebble(rng: np.random.Generator, camera: Camera) -> Solid:
    """Draw a small plain solid on the floor, not in the camera's face; clutter has no class."""
    shape = str(rng.choice(list(SHAPES)))
    eye = camera.position[[0, 2]]
    ground = rng.uniform(-1.6, 1.6, 2)
    while np.hypot(*(ground - eye)) < 0.6:
        ground = rng.uniform(-1.6, 1.6, 2)
    solid = place(
        rng,
        shape,
        label=0,
        instance=0,
        ground=(float(ground[0]), float(ground[1])),
        radius=rng.uniform(0.08, 0.2),
        rotation=random_pose(rng),
    )
    paint = replace(solid.material, pattern=None, colors=(color(rng, luma=(0.15, 0.9)),) * 2)
    return replace(solid, material=paint, cap=None)


def draw_classes(
    rng: np.random.Generator, *, count: int, names: Sequence[str]
) -> tuple[list[str], list[int]]:
    """Draw `count` classes with their labels (1 for the first name)."""
    labels = [int(label) for label in rng.integers(1, len(names) + 1, count)]
    return [names[label - 1] for label in labels], labels
