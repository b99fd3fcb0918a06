"""Vision transformers of timm: CLS or pooled token, patches without prefix tokens, any image size.

timm is given the weights' own conversion and position resampling; nothing is downloaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from compat.torchvision_shim import ensure_torchvision
from franca.baselines.normalisation import Renormalise
from franca.baselines.weights import weights_of
from franca.models.vit import Features, block_numbers


class TimmVit(nn.Module):
    """A plain ViT of timm under the contract of `franca.eval.models`.

    The image token is the class token after the final norm; a model without one (SigLIP) gives what
    it pools before its classifier. Registers and other prefix tokens are no patches.

    Args:
        trunk: a `timm` VisionTransformer or Eva that takes images of any size.

    Raises:
        ValueError: patches that are not square.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        rows, columns = trunk.patch_embed.patch_size
        if rows != columns:
            raise ValueError(f"patches of {rows}x{columns} pixels: only square ones are evaluated")
        self.trunk = trunk
        self.embed_dim: int = trunk.num_features
        self.patch_size: int = rows
        self.depth: int = len(trunk.blocks)
        self.renormalise = Renormalise(trunk.pretrained_cfg["mean"], trunk.pretrained_cfg["std"])

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
        found = self.trunk.forward_intermediates(
            self.renormalise(images),
            indices=numbers,
            return_prefix_tokens=True,
            norm=norm,
            output_fmt="NLC",
            intermediates_only=True,
        )
        grid = (images.shape[2] // self.patch_size, images.shape[3] // self.patch_size)
        return [self._features(found[numbers.index(number)], grid) for number in wanted]

    def _features(self, block: Tensor | tuple[Tensor, Tensor], grid: tuple[int, int]) -> Features:
        # Without prefix tokens timm returns the patches alone.
        patches, prefix = (block, block[:, :0]) if isinstance(block, Tensor) else block
        if getattr(self.trunk, "cls_token", None) is not None:
            return Features(cls=prefix[:, 0], patches=patches, registers=prefix[:, 1:], grid=grid)
        pooled = self.trunk.forward_head(torch.cat([prefix, patches], dim=1), pre_logits=True)
        return Features(cls=pooled, patches=patches, registers=prefix, grid=grid)

    def last_keys(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the keys of the last block, heads concatenated: prefix tokens, then patches.

        Raises:
            ValueError: the block projects queries, keys and values apart.
        """
        projection = getattr(self.trunk.blocks[-1].attn, "qkv", None)
        if projection is None:
            raise ValueError(f"{type(self.trunk).__name__}: no joint projection to take keys from")
        seen: list[Tensor] = []
        handle = projection.register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            self.trunk.forward_features(self.renormalise(images))
        finally:
            handle.remove()
        return seen[0].chunk(3, dim=-1)[1]


def open_timm(name: str, *, weights: Path | None) -> TimmVit:
    """Build a model of timm's registry.

    Args:
        name: as in `timm.list_models()`, e.g. vit_small_patch14_dinov2.
        weights: file in the layout that timm converts for this model; None: random, from torch's
            global generator.

    Raises:
        ValueError: no such model, one that is no plain ViT, or a file of another model.
    """
    ensure_torchvision()
    import timm  # here, because it takes seconds
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    if not timm.is_model(name):
        raise ValueError(f"timm:{name}: timm has no such model; see timm.list_models('*vit*')")
    try:
        trunk = timm.create_model(name, num_classes=0, dynamic_img_size=True)
    except TypeError as error:
        raise ValueError(f"timm:{name}: no plain ViT with patch tokens ({error})") from error
    if not isinstance(trunk, VisionTransformer | Eva):
        raise ValueError(f"timm:{name}: a {type(trunk).__name__}, no plain ViT with patch tokens")
    if weights is not None:
        _load(trunk, weights, name=name)
    return TimmVit(trunk)


def _load(trunk: nn.Module, weights: Path, *, name: str) -> None:
    """Load weights as timm converts them; all of them but those of a classifier must be there.

    timm itself only warns of weights that are missing when the classifier is left out.
    """
    from timm.models import eva, load_state_dict, vision_transformer

    source: Any = eva if isinstance(trunk, eva.Eva) else vision_transformer
    with weights_of(f"timm:{name}", weights):
        state = source.checkpoint_filter_fn(load_state_dict(str(weights)), trunk)
        kept = {key: tensor for key, tensor in state.items() if not key.startswith("head.")}
        trunk.load_state_dict(kept)
