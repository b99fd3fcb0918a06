"""Small inputs of the benchmarks of geometry: patches with depth, walls seen twice, scenes."""

import numpy as np
import torch
from torch.nn.functional import normalize, pad

from franca.data.scenes.samples import Canvas, views
from franca.eval.cameras import unproject
from franca.eval.geometry import (
    Geometry,
    LayerFeatures,
    PosedView,
    SceneInputs,
    ViewPair,
    ViewPairInputs,
)
from tests.franca.eval.test_cameras import CAMERA, pose


def layers(images, seed):
    """Patches of 2x2 pixels, each of one random depth and normal that no feature tells."""
    source = torch.Generator().manual_seed(seed)
    depth = torch.rand(images, 4, 4, generator=source) * 4 + 1
    normals = normalize(torch.randn(images, 3, 4, 4, generator=source), dim=1)
    normals[:, 2] = -normals[:, 2].abs()
    geometry = [
        Geometry(
            depth=one.repeat_interleave(2, 0).repeat_interleave(2, 1),
            normals=normal.repeat_interleave(2, 1).repeat_interleave(2, 2),
        )
        for one, normal in zip(depth, normals, strict=True)
    ]
    return LayerFeatures(
        tokens=pad(torch.randn(images, 4, 16, 3, generator=source), (0, 0, 1, 0)),
        grid=(4, 4),
        geometry=geometry,
        groups=tuple(f"scene{image // 2}" for image in range(images)),
    )


def view(degrees, *, seed=0, hole=False):
    """A wavy wall two metres away, seen after a turn around the middle of the wall."""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    depth = 2 + 0.1 * (rows / 3).sin() + 0.1 * (columns / 5).cos()
    if hole:
        depth[:12] = 0
    placed = pose(degrees, 0.0, 0.0, 0.0)
    placed[:, 3] = torch.tensor([0.0, 0.0, 2.0]) - placed[:, :3] @ torch.tensor([0.0, 0.0, 2.0])
    return PosedView(
        tokens=torch.randn(48, 8, generator=torch.Generator().manual_seed(seed)),
        grid=(6, 8),
        pixels=torch.zeros(3, 24, 32),
        points=unproject(depth, CAMERA),
        intrinsics=CAMERA,
        pose=placed,
    )


def view_pairs(count=6):
    return ViewPairInputs(
        [
            ViewPair(view(0.0, seed=i), view(12.0 * i, seed=i + 50), group=f"scene{i // 2}")
            for i in range(count)
        ]
    )


def posed(shot, camera, *, seed):
    side = shot.depth.shape[0]
    intrinsics = torch.tensor(
        [[camera.focal * side, 0, side / 2], [0, camera.focal * side, side / 2], [0, 0, 1]],
        dtype=torch.float32,
    )
    pose = np.column_stack([camera.rotation, -camera.rotation @ camera.position])
    return PosedView(
        tokens=torch.randn(16, 8, generator=torch.Generator().manual_seed(seed)),
        grid=(4, 4),
        pixels=torch.from_numpy(shot.image).permute(2, 0, 1) / 255,
        points=unproject(torch.from_numpy(shot.depth), intrinsics),
        intrinsics=intrinsics,
        pose=torch.from_numpy(pose).float(),
    )


def scenes(count):
    """Rendered scenes of seven views each, 32 x 32 pixels."""
    canvas = Canvas(32, 32, 1)
    return SceneInputs(
        [
            [
                posed(shot, camera, seed=10 * index + number)
                for number, (shot, camera) in enumerate(
                    views(0, "test/views", index, num_views=7, canvas=canvas)
                )
            ]
            for index in range(count)
        ]
    )
