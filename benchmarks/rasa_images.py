"""Images and a backbone for the RASA benchmarks that need no download.

Images are smooth random textures, each blurred here and there, some dark and some bright. The
backbone is a small vision transformer at random weights: like trained ones it keeps position and
brightness linearly readable, which is all that is asked of it here.
"""

import numpy as np
import torch
from PIL import Image, ImageFilter

from franca.models.vit import VisionTransformer, build_vit
from franca.rasa.views import ViewSettings

SIDE = 96
VIEWS = ViewSettings(
    min_scale=0.25,
    jitter_probability=0.8,
    brightness=0.32,
    contrast=0.32,
    saturation=0.32,
    hue=0.08,
    gray_probability=0.2,
    blur_probability=0.5,
    blur_sigma=(0.1, 2.0),
    flip_probability=0.5,
    rotation="quarter_turns",
    rotation_probability=1.0,
    normalise_std=(0.229, 0.224, 0.225),
)


def draw_images(count: int, *, seed: int) -> list[Image.Image]:
    """Return square RGB textures."""
    random = np.random.default_rng(seed)
    return [_draw(random) for _ in range(count)]


def _draw(random: np.random.Generator) -> Image.Image:
    layers = []
    for cells in (3, 12, 48):
        noise = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        layers.append(np.asarray(layer, dtype=np.float32))
    pixels = np.tensordot(random.dirichlet([1, 1, 1]), np.stack(layers), axes=1)
    pixels = pixels * random.uniform(0.4, 1) + random.uniform(0, 60)
    texture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    blurred = texture.filter(ImageFilter.GaussianBlur(random.uniform(1, 3)))
    where = Image.fromarray(random.integers(0, 256, (3, 3), dtype=np.uint8))
    return Image.composite(texture, blurred, where.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def build_backbone(*, seed: int) -> VisionTransformer:
    """Return a backbone whose position embedding is as plain as that of a trained one."""
    draw = torch.Generator().manual_seed(seed)
    model = build_vit("vit_tiny", image_size=SIDE, layer_scale=1.0, generator=draw).eval()
    with torch.no_grad():
        model.pos_embed.mul_(10)
        model.norm.weight.uniform_(0.5, 2, generator=draw)
        model.norm.bias.normal_(std=0.5, generator=draw)
    return model
