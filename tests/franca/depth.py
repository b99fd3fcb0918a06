"""Draws of stochastic depth for tests: all images in one group."""

from franca.models.layers import DepthSource
from franca.randomness import generator


def depth_source(images, seed=0):
    """Draw for so many images; the same draws for the same seed."""
    return DepthSource(
        generator=lambda group: generator(seed, "drop", group),
        group_size=images,
        images=range(images),
    )
