"""Splats: where they land, what hides what, and their loop form."""

import math

import torch

from franca.eval.cameras import unproject
from franca.eval.splatting import splat
from tests.franca.eval.test_cameras import CAMERA

SIZE = (24, 32)


def draw(points, colors, sizes=None, *, margin=0.05):
    points = torch.tensor(points) if isinstance(points, list) else points
    colors = torch.tensor(colors) if isinstance(colors, list) else colors
    sizes = torch.full((len(points),), 0.025) if sizes is None else sizes
    return splat(points, colors, sizes, CAMERA, size=SIZE, margin=margin)


def test_a_wall_is_seen_again_from_where_it_was():
    source = torch.Generator().manual_seed(0)
    points = unproject(torch.full(SIZE, 2.0), CAMERA).flatten(1).T
    colors = torch.rand(len(points), 3, generator=source)
    found = draw(points, colors, torch.full((len(points),), 0.001))  # 0.3 pixels at least
    assert found.covered.all()
    torch.testing.assert_close(found.pixels, colors.T.unflatten(1, SIZE), atol=0.05, rtol=0)


def test_what_is_behind_is_hidden_and_what_is_level_blends():
    red, blue = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    straight = 0.5 / 40  # the middle of pixel (16, 12), a metre away
    near, far = [straight, straight, 1.0], [2 * straight, 2 * straight, 2.0]
    hidden = draw([near, far], [red, blue])
    assert hidden.pixels[:, 12, 16].tolist() == red
    level = draw([near, near], [red, blue])
    torch.testing.assert_close(level.pixels[:, 12, 16], torch.tensor([0.5, 0.0, 0.5]))
    apart = draw([near, far], [red, blue], margin=1.5)
    assert 0 < apart.pixels[2, 12, 16] < 1


def test_what_is_behind_the_camera_or_far_outside_draws_nothing():
    found = draw([[0.0, 0.0, -1.0], [1e9, 0.0, 1.0], [0.0, -5.0, 1.0]], [[1.0] * 3] * 3)
    assert not found.covered.any()
    assert (found.pixels == 0).all()
    assert not draw(torch.zeros(0, 3), torch.zeros(0, 3)).covered.any()


def test_it_is_its_loop_form():
    source = torch.Generator().manual_seed(1)
    points = torch.rand(60, 3, generator=source) * torch.tensor([1.0, 0.6, 0.5])
    points += torch.tensor([-0.5, -0.3, 1.0])
    colors = torch.rand(60, 3, generator=source)
    sizes = torch.rand(60, generator=source) * 0.03
    found = draw(points, colors, sizes, margin=0.1)
    for row in range(24):
        for column in range(32):
            near = []
            for (x, y, z), color, size in zip(
                points.tolist(), colors.tolist(), sizes.tolist(), strict=True
            ):
                u, v = 40 * x / z + 16, 40 * y / z + 12
                if max(abs(math.floor(u) - column), abs(math.floor(v) - row)) > 2:
                    continue
                spread = min(max(size * 40 / z, 0.3), 1.0)
                distance = (column + 0.5 - u) ** 2 + (row + 0.5 - v) ** 2
                weight = math.exp(-distance / (2 * spread**2))
                if weight > 0.1:
                    near.append((z, weight, color))
            assert bool(found.covered[row, column]) == bool(near)
            if near:
                front = min(z for z, _, _ in near) + 0.1
                kept = [(weight, color) for z, weight, color in near if z <= front]
                total = sum(weight for weight, _ in kept)
                expected = [sum(w * c[i] for w, c in kept) / total for i in range(3)]
                torch.testing.assert_close(
                    found.pixels[:, row, column], torch.tensor(expected), atol=1e-4, rtol=1e-4
                )
