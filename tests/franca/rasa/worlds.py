"""Features with a known trace of position, small enough for tests."""

import torch
from torch.nn import functional as F

from franca.randomness import generator
from franca.rasa.targets import position


def features_with_position(*, images=24, grid=(6, 6), dim=16, seed=0, strength=1.0):
    """Return LayerNorm-ed noise [images, tokens, dim] plus linear and curved position."""
    draw = generator(seed, "world")
    places = position(grid)
    waves = [torch.cos(torch.pi * k * places) for k in (1, 2, 3)]
    curved = torch.cat([places, *waves], dim=1)
    trace = curved @ torch.randn(8, dim, generator=generator(0, "trace"))
    mixing = torch.randn(dim, dim, generator=generator(0, "mixing"))
    noise = torch.randn(images, len(places), dim, generator=draw) @ mixing / dim**0.5
    return F.layer_norm(noise + strength * trace, (dim,)), places[None]
