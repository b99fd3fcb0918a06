"""Architectures: a table of sizes, keyed by name.

Franca uses SwiGLU at every size, DINOv2 only at the giant one: the `_mlp` rows are DINOv2's S, B
and L. Widths, depths and heads: Franca paper, section 3, and https://github.com/valeoai/Franca.
"""

from dataclasses import dataclass
from typing import Literal

FeedForward = Literal["swiglu", "mlp"]


@dataclass(frozen=True)
class Arch:
    """Shape of a vision transformer.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads per block.
        patch_size: side of a patch, in pixels.
        image_size: side of the image whose patch grid `pos_embed` holds, in pixels.
        ffn: feed-forward of every block.
    """

    name: str
    width: int
    depth: int
    heads: int
    patch_size: int
    image_size: int
    ffn: FeedForward = "swiglu"


_TABLE = [
    Arch("vit_tiny", width=96, depth=3, heads=3, patch_size=8, image_size=64),
    Arch("vit_ti14", width=192, depth=12, heads=3, patch_size=14, image_size=224),
    Arch("vit_s14", width=384, depth=12, heads=6, patch_size=14, image_size=224),
    Arch("vit_b14", width=768, depth=12, heads=12, patch_size=14, image_size=224),
    Arch("vit_l14", width=1024, depth=24, heads=16, patch_size=14, image_size=224),
    Arch("vit_g14", width=1536, depth=40, heads=24, patch_size=14, image_size=224),
    Arch("vit_s14_mlp", width=384, depth=12, heads=6, patch_size=14, image_size=224, ffn="mlp"),
    Arch("vit_b14_mlp", width=768, depth=12, heads=12, patch_size=14, image_size=224, ffn="mlp"),
    Arch("vit_l14_mlp", width=1024, depth=24, heads=16, patch_size=14, image_size=224, ffn="mlp"),
]
ARCHS = {arch.name: arch for arch in _TABLE}


def swiglu_hidden(width: int) -> int:
    """Return the hidden width of a SwiGLU with the parameters of a 4x MLP, rounded up to 8.

    Two thirds of 4 * width, because a SwiGLU has three matrices where an MLP has two
    (DINOv2's `SwiGLUFFNFused`): 2048, 2736 and 4096 for B, L and g.
    """
    return (4 * width * 2 // 3 + 7) // 8 * 8
