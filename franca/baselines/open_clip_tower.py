"""Vision towers of open_clip: tokens before the projection into the space shared with text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from compat.torchvision_shim import ensure_torchvision
from franca.baselines.normalisation import Renormalise
from franca.baselines.timm_vit import TimmVit
from franca.baselines.weights import weights_of
from franca.models.vit import Features, block_numbers


class OpenClipTower(nn.Module):
    """open_clip's own ViT under the contract of `franca.eval.models`.

    The image token is the class token after the final norm, as linear probes of CLIP use it, not
    the projected embedding. Images of another size get bicubically resampled positions.

    Args:
        visual: `open_clip.transformer.VisionTransformer` that pools its class token.

    Raises:
        ValueError: it pools otherwise, or its patches are not square.
    """

    def __init__(self, visual: Any) -> None:
        super().__init__()
        if visual.pool_type != "tok" or visual.attn_pool is not None:
            raise ValueError(f"a tower that pools by {visual.pool_type!r} has no class token")
        rows, columns = visual.patch_size
        if rows != columns:
            raise ValueError(f"patches of {rows}x{columns} pixels: only square ones are evaluated")
        self.visual = visual
        self.embed_dim: int = visual.conv1.out_channels
        self.patch_size: int = rows
        self.depth: int = len(visual.transformer.resblocks)
        preprocess = visual.preprocess_cfg
        self.renormalise = Renormalise(preprocess["mean"], preprocess["std"])

    def forward_features(self, images: Float[Tensor, "batch 3 height width"]) -> Features:
        """Return the last block's tokens."""
        return self.forward_intermediate(images, 1)[0]

    def forward_intermediate(
        self,
        images: Float[Tensor, "batch 3 height width"],
        blocks: int | Sequence[int],
        *,
        norm: bool = True,
    ) -> list[Features]:
        """Return the tokens of the last n blocks, or of those numbered, in the order wanted."""
        wanted = block_numbers(blocks, depth=self.depth)
        numbers = sorted(set(wanted))
        tokens, grid = self._embed(images)
        _, found = self.visual.transformer.forward_intermediates(tokens, indices=numbers)
        taken = [found[numbers.index(number)] for number in wanted]
        return [
            Features(cls=x[:, 0], patches=x[:, 1:], registers=x[:, 1:1], grid=grid)
            for x in (self.visual.ln_post(block) if norm else block for block in taken)
        ]

    def last_keys(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the keys of the last block, heads concatenated: CLS, then patches."""
        *earlier, last = self.visual.transformer.resblocks
        x, _ = self._embed(images)
        for block in earlier:
            x = block(x)
        query_key_value = last.ln_1(x) @ last.attn.in_proj_weight.T + last.attn.in_proj_bias
        keys: Tensor = query_key_value.chunk(3, dim=-1)[1]
        return keys

    def _embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        patches = self.visual.conv1(self.renormalise(images))
        grid = (patches.shape[2], patches.shape[3])
        cls = self.visual.class_embedding.expand(len(images), 1, -1)
        tokens = torch.cat([cls, patches.flatten(2).mT], dim=1)
        return self.visual.ln_pre(tokens + self._positions(grid)), grid

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        positions: Tensor = self.visual.positional_embedding
        native = tuple(self.visual.grid_size)
        if grid == native:
            return positions
        square = positions[1:].view(1, *native, -1).permute(0, 3, 1, 2)
        resized = interpolate(square, size=grid, mode="bicubic", antialias=True)
        return torch.cat([positions[:1], resized.flatten(2)[0].T])


def open_open_clip(name: str, *, weights: Path | None) -> OpenClipTower | TimmVit:
    """Build the vision tower of a model of open_clip.

    Args:
        name: as in `open_clip.list_models()`, e.g. ViT-B-16.
        weights: file of the whole model, as open_clip loads it; None: random, from torch's global
            generator.

    Raises:
        ValueError: no such model, a tower that is no ViT, or a file of another model.
    """
    ensure_torchvision()
    import open_clip  # here, because it takes seconds
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    if name not in open_clip.list_models():
        raise ValueError(f"open_clip:{name}: no such model; see open_clip.list_models()")
    with weights_of(f"open_clip:{name}", weights):
        file = None if weights is None else str(weights)
        visual = open_clip.create_model(name, pretrained=file).visual
    if isinstance(visual, TimmModel) and hasattr(visual.trunk, "blocks"):
        return TimmVit(visual.trunk)
    if not isinstance(visual, VisionTransformer):
        raise ValueError(f"open_clip:{name}: its tower is no ViT, so it has no patch tokens")
    return OpenClipTower(visual)
