"""Rendered samples of the embedded world, each a function of (seed, purpose, index) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from jaxtyping import Float32

from franca.data.scenes.compose import (
    CLASSES,
    Subject,
    furnish,
    group_subject,
    pose,
    random_light,
    rotation_y,
    single_subject,
)
from franca.data.scenes.render import Camera, Exposure, Rendering, Scene, Solid, render
from franca.data.scenes.shapes import surface_points
from franca.randomness import numpy_generator

# Scenes of several objects are drawn again until objects cover this much: with 16 % of foreground,
# raw pixels beat a trained model on video and every clustering collapsed to background.
MIN_FOREGROUND = 0.30
MIN_SEMANTIC_POINTS, MIN_GEOMETRIC_POINTS = 5, 32
MAX_GEOMETRIC_POINTS = 64
VIEW_ARC = 2 * np.pi / 3  # from the first camera to the last


@dataclass(frozen=True)
class Canvas:
    """Size and quality of what is rendered: pixels, and rays a pixel along each axis."""

    height: int
    width: int
    supersample: int


@dataclass(frozen=True)
class Pair:
    """Two images with points that correspond.

    Attributes:
        source: first image.
        target: second image.
        source_points: pixel positions (x, y).
        target_points: the same points in the second image.
    """

    source: Rendering
    target: Rendering
    source_points: Float32[np.ndarray, "points 2"]
    target_points: Float32[np.ndarray, "points 2"]


def _shoot(
    rng: np.random.Generator, scene: Scene, canvas: Canvas, *, jitter: float = 0.0
) -> Rendering:
    """Render with a random exposure; `jitter` scales the turn of hue and the spread of gain."""
    exposure = Exposure(
        gain=rng.uniform(0.85, 1.15) * float(np.exp(rng.uniform(-0.3, 0.3) * jitter)),
        hue=rng.uniform(-1, 1) * jitter,
        noise=rng.uniform(0.005, 0.02),
    )
    return render(
        scene,
        height=canvas.height,
        width=canvas.width,
        supersample=canvas.supersample,
        exposure=exposure,
        noise=rng,
    )


def single_image(
    seed: int, purpose: str, index: int, *, label: int, names: Sequence[str], canvas: Canvas
) -> Rendering:
    """Render one object that fills the frame; `label` counts from 1."""
    rng = numpy_generator(seed, purpose, index)
    subject = single_subject(rng, names[label - 1], label=label)
    return _shoot(rng, furnish(rng, subject, clutter=int(rng.integers(0, 4))), canvas)


def group_image(seed: int, purpose: str, index: int, *, canvas: Canvas) -> Rendering:
    """Render two to four objects of known classes that cover a good part of the frame."""
    for attempt in count():
        rng = numpy_generator(seed, purpose, index, attempt)
        rendering = _shoot(rng, _group_scene(rng, int(rng.integers(2, 5))), canvas)
        if (rendering.semantic > 0).mean() >= MIN_FOREGROUND:
            return rendering
    raise AssertionError(f"no attempt covers {MIN_FOREGROUND} of {purpose} {index}")


def _group_scene(rng: np.random.Generator, num_objects: int) -> Scene:
    labels = [int(label) for label in rng.integers(1, len(CLASSES) + 1, num_objects)]
    subject = group_subject(rng, [CLASSES[label - 1] for label in labels], labels)
    return furnish(rng, subject, clutter=int(rng.integers(1, 5)))


def video(
    seed: int, purpose: str, index: int, *, num_frames: int, canvas: Canvas
) -> Iterator[Rendering]:
    """Render objects that drift and turn before a drifting camera.

    Hue, gain and lamp change from frame to frame, so that following colours loses the objects.
    """
    rng = numpy_generator(seed, purpose, index)
    scene = _group_scene(rng, int(rng.integers(2, 4)))
    moving = [solid for solid in scene.solids if solid.label > 0]
    courses = rng.uniform(0, 2 * np.pi, len(moving))
    reaches = rng.uniform(0.15, 0.35, len(moving))
    spins = rng.uniform(-1.2, 1.2, len(moving))
    swing = rng.uniform(-0.2, 0.2)
    for frame in range(num_frames):
        time = frame / max(1, num_frames - 1)
        moved = [
            _moved(solid, course=course, distance=reach * time, spin=spin * time)
            for solid, course, reach, spin in zip(moving, courses, reaches, spins, strict=True)
        ]
        still = [solid for solid in scene.solids if solid.label == 0]
        yield _shoot(
            rng,
            replace(
                scene,
                camera=_swung(scene.camera, swing * time),
                light=random_light(rng),
                solids=(*moved, *still),
            ),
            canvas,
            jitter=0.6,
        )


def _moved(solid: Solid, *, course: float, distance: float, spin: float) -> Solid:
    step = distance * np.array([np.cos(course), 0.0, np.sin(course)])
    return replace(solid, center=solid.center + step, rotation=rotation_y(spin) @ solid.rotation)


def _swung(camera: Camera, angle: float, *, nearer: float = 1.0) -> Camera:
    """Carry the camera around the vertical axis through the middle of the scene."""
    turn = rotation_y(angle)
    position = turn @ camera.position
    return Camera(position * nearer, camera.rotation @ turn.T, camera.focal)


def visible(
    points: Float32[np.ndarray, "points 3"], scene_camera: Camera, rendering: Rendering
) -> tuple[np.ndarray, np.ndarray]:
    """Project world points and say which of them the image shows.

    Returns:
        Pixel positions [points, 2] and a mask: inside the image, a pixel from its edge, and no
        farther than the surface that the image shows there.
    """
    height, width = rendering.depth.shape
    (x, y), depth = scene_camera.project(points.T, height, width)
    inside = (depth > 0.05) & (x >= 1) & (y >= 1) & (x < width - 1) & (y < height - 1)
    column = np.where(inside, x, 0).astype(int)
    row = np.where(inside, y, 0).astype(int)
    shown = np.abs(rendering.depth[row, column] - depth) < 0.02 + 0.02 * depth
    return np.stack([x, y], axis=1).astype(np.float32), inside & shown


def geometric_pair(seed: int, purpose: str, index: int, *, canvas: Canvas) -> Pair:
    """Render one scene from two sides, in two lights and two hues."""
    for attempt in count():
        rng = numpy_generator(seed, purpose, index, attempt)
        scene = _group_scene(rng, int(rng.integers(2, 4)))
        angle = rng.uniform(0.15, 0.45) * rng.choice([-1.0, 1.0])
        camera = _swung(scene.camera, angle, nearer=rng.uniform(0.9, 1.2))
        source = _shoot(rng, scene, canvas, jitter=0.6)
        target = _shoot(
            rng, replace(scene, camera=camera, light=random_light(rng)), canvas, jitter=0.6
        )
        points = source.world.reshape(-1, 3)
        positions, seen = visible(points, camera, target)
        chosen = np.flatnonzero(seen)
        if chosen.size >= MIN_GEOMETRIC_POINTS:
            chosen = rng.permutation(chosen)[:MAX_GEOMETRIC_POINTS]
            starts = source.positions.reshape(-1, 2)[chosen]
            return Pair(source, target, starts, positions[chosen])
    raise AssertionError(f"no attempt shows common points of {purpose} {index}")


def views(
    seed: int, purpose: str, index: int, *, num_views: int, canvas: Canvas
) -> list[tuple[Rendering, Camera]]:
    """Render one scene from cameras spread evenly over an arc around it, in one light.

    Nothing moves and the sensor stays as it is: what differs between views follows from the
    cameras alone.
    """
    rng = numpy_generator(seed, purpose, index)
    scene = _group_scene(rng, int(rng.integers(2, 5)))
    exposure = Exposure(gain=rng.uniform(0.85, 1.15), hue=0.0, noise=0.005)
    shots = []
    for angle in np.linspace(-0.5, 0.5, num_views) * VIEW_ARC:
        camera = _swung(scene.camera, angle)
        shot = render(
            replace(scene, camera=camera),
            height=canvas.height,
            width=canvas.width,
            supersample=canvas.supersample,
            exposure=exposure,
            noise=rng,
        )
        shots.append((shot, camera))
    return shots


def semantic_pair(seed: int, purpose: str, index: int, *, label: int, canvas: Canvas) -> Pair:
    """Render two instances of a class from like sides; landmarks of the shape correspond."""
    shape = CLASSES[label - 1]
    for attempt in count():
        rng = numpy_generator(seed, purpose, index, attempt)
        side = rng.uniform(-np.pi, np.pi)
        views = []
        for _ in range(2):
            subject = _posed_subject(rng, shape, label=label, side=side)
            scene = furnish(rng, subject, clutter=int(rng.integers(0, 4)))
            rendering = _shoot(rng, scene, canvas)
            solid = subject.solids[0]
            landmarks = solid.rotation @ surface_points(shape) * solid.radius
            landmarks = (landmarks + solid.center[:, None]).T.astype(np.float32)
            views.append((rendering, *visible(landmarks, subject.camera, rendering)))
        (source, source_points, first), (target, target_points, second) = views
        common = first & second
        if common.sum() >= MIN_SEMANTIC_POINTS:
            return Pair(source, target, source_points[common], target_points[common])
    raise AssertionError(f"no attempt shows common landmarks of {purpose} {index}")


def _posed_subject(rng: np.random.Generator, shape: str, *, label: int, side: float) -> Subject:
    """Draw an instance whose pose and view stay within half a radian of the pair's."""
    lean = rng.uniform(-np.pi, np.pi)
    rotation = pose(yaw=rng.uniform(-0.3, 0.3), tilt=rng.uniform(0, 0.35), lean=lean)
    azimuth = side + rng.uniform(-0.3, 0.3)
    return single_subject(rng, shape, label=label, rotation=rotation, azimuth=azimuth)
