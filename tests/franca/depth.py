"""Draws of stochastic depth for tests: all images in one group."""

import torch

from franca.models.stochastic_depth import DepthSource, draw_subsets
from franca.randomness import generator

PACKING = ((4, 5), (6, 3))
ROWS = 4 * 5 + 6 * 3


def depth_source(images, seed=0):
    """Draw for so many images; the same draws for the same seed."""
    return DepthSource(
        generator=lambda group: generator(seed, "drop", group),
        group_size=images,
        images=range(images),
    )


def draw(*, drop_path, count=1):
    """Draw subsets of `PACKING`, the crops of two images."""
    return draw_subsets(
        packing=PACKING,
        drop_path=drop_path,
        count=count,
        source=depth_source(2),
        device=torch.device("cpu"),
    )
