"""The vision transformer: images to features, with masks, packed crops and stochastic depth."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from franca.models.archs import ARCHS, Arch
from franca.models.layers import Attention, Block, PatchEmbed
from franca.models.pos_embed import Interpolation, resize_pos_embed
from franca.models.stochastic_depth import DepthSource, Packing, Subset, draw_subsets

Images = Float[Tensor, "batch 3 height width"]
Masks = Bool[Tensor, "batch patches"]


@dataclass(frozen=True)
class Features:
    """Tokens of a batch of images, after the final norm unless said otherwise.

    Args:
        grid: (rows, columns) of the patches, which are stored row by row.
    """

    cls: Float[Tensor, "batch dim"]
    patches: Float[Tensor, "batch patches dim"]
    registers: Float[Tensor, "batch registers dim"]
    grid: tuple[int, int]


@dataclass(frozen=True)
class MultiCropFeatures:
    """What the losses read of a batch of crops, after the final norm.

    Args:
        cls: one matrix per crop size.
        patches: the patches asked for.
    """

    cls: list[Float[Tensor, "_ dim"]]
    patches: Float[Tensor, "wanted dim"]


class VisionTransformer(nn.Module):
    """Vision transformer of DINOv2 and Franca; parameter names are those of the released weights.

    Args:
        arch: sizes; its `patch_size` and `image_size` fix the learnt grid of positions.
        drop_path: probability with which stochastic depth leaves out a sequence, equal in all
            blocks; only `forward_multicrop` in training mode uses it.
        layer_scale: initial value of every LayerScale.
        registers: number of register tokens (https://arxiv.org/abs/2309.16588).
        interpolation: law for images of another size than `arch.image_size`.
        generator: source of the initial weights; None takes torch's global one.

    Raises:
        ValueError: if sizes do not divide or a value is out of range.
    """

    def __init__(
        self,
        *,
        arch: Arch,
        drop_path: float = 0.0,
        layer_scale: float = 1e-5,
        registers: int = 0,
        interpolation: Interpolation = "franca",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check(arch, drop_path=drop_path, interpolation=interpolation)
        self.arch = arch
        self.drop_path = drop_path
        self.recompute = False  # make each block's activations again for its gradient
        self.num_registers = registers
        self.interpolation: Interpolation = interpolation
        self.embed_dim = arch.width
        self.patch_size = arch.patch_size
        self.patch_embed = PatchEmbed(patch_size=arch.patch_size, width=arch.width)
        num_patches = (arch.image_size // arch.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.empty(1, 1, arch.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + num_patches, arch.width))
        self.mask_token = nn.Parameter(torch.empty(1, arch.width))
        if registers:
            self.register_tokens = nn.Parameter(torch.empty(1, registers, arch.width))
        self.blocks = nn.ModuleList(
            Block(width=arch.width, heads=arch.heads, ffn=arch.ffn, layer_scale=layer_scale)
            for _ in range(arch.depth)
        )
        self.norm = nn.LayerNorm(arch.width, eps=1e-6)
        if not self.cls_token.is_meta:  # a model on the meta device gets its values from a file
            self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the initial weights, as DINOv2: linear maps and positions truncated normal, σ 0.02.

        The patch embedding keeps torch's default for convolutions; the mask token starts at zero.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
                nn.init.zeros_(module.bias)
        self.patch_embed.reset_parameters(generator)
        nn.init.trunc_normal_(self.pos_embed, std=0.02, generator=generator)
        nn.init.normal_(self.cls_token, std=1e-6, generator=generator)
        nn.init.zeros_(self.mask_token)
        if self.num_registers:
            nn.init.normal_(self.register_tokens, std=1e-6, generator=generator)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that `build_vit` needs to build this model again, ready for JSON."""
        arch = dataclasses.asdict(self.arch)
        return {
            "arch": arch.pop("name"),
            **arch,
            "registers": self.num_registers,
            "interpolation": self.interpolation,
        }

    def set_image_size(self, image_size: int) -> None:
        """Resample the learnt positions for another native image size (in pixels).

        Features at `image_size` stay what they were, because the model's own law is used.
        """
        arch = dataclasses.replace(self.arch, image_size=image_size)
        _check(arch, drop_path=self.drop_path, interpolation=self.interpolation)
        side = image_size // self.patch_size
        with torch.no_grad():
            resized = resize_pos_embed(
                self.pos_embed, grid=(side, side), interpolation=self.interpolation
            )
        self.pos_embed = nn.Parameter(resized.clone())
        self.arch = arch

    def compile_blocks(self) -> None:
        """Let torch compile each block when it is first used; parameters keep their names.

        Block by block, because the blocks are alike and share what was compiled.
        """
        for block in self.blocks:
            block.compile()

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        """Return the CLS feature, as the models of DINOv2's torch hub do."""
        return self.forward_features(images).cls

    def forward_features(self, images: Images, masks: Masks | None = None) -> Features:
        """Return the features of images of one size, without stochastic depth.

        Args:
            images: ImageNet-normalised; sides are multiples of the patch size.
            masks: True where a patch is replaced by the mask token.

        Raises:
            ValueError: if a side of the images is not a multiple of the patch size.
        """
        tokens, grid = self._embed(images, masks)
        *_, x = self._stream(tokens.flatten(0, 1), _packing([tokens]))
        return self._features(self.norm(x).view_as(tokens), grid)

    def forward_multicrop(
        self,
        crops: Sequence[Float[Tensor, "_ 3 _ _"]],
        *,
        patches: Int[Tensor, " wanted"],
        masks: Masks | None = None,
        depth: DepthSource | None = None,
    ) -> MultiCropFeatures:
        """Return the features of several crop sizes, their tokens packed into one matrix.

        What no loss looks at is not computed: of the last block's output and of the final norm only
        the CLS tokens and the patches asked for.

        Args:
            crops: one batch per crop size.
            patches: indices of patches to return, counted over the first batch image by image.
            masks: masks of the first batch; the others are never masked.
            depth: what stochastic depth draws from; without it, or in evaluation mode, no branch is
                left out.

        Raises:
            ValueError: if a side of the images is not a multiple of the patch size.
        """
        all_masks = [masks] + [None] * (len(crops) - 1)
        embedded = [self._embed(*pair)[0] for pair in zip(crops, all_masks, strict=True)]
        packing = _packing(embedded)
        x = torch.cat([tokens.flatten(0, 1) for tokens in embedded])
        subsets = self._draw_subsets(packing, x.device, depth)
        wanted = self._wanted_rows(packing, patches)
        *_, x = self._stream(x, packing, subsets, wanted)
        *cls, found = self.norm(x).split([batch for batch, _ in packing] + [len(patches)])
        return MultiCropFeatures(cls=cls, patches=found)

    def forward_intermediate(
        self, images: Images, blocks: int | Sequence[int], *, norm: bool = True
    ) -> list[Features]:
        """Return the features after several blocks.

        Args:
            images: as for `forward_features`.
            blocks: the last n blocks, or the 0-based indices of blocks in the order wanted.
            norm: whether the final norm is applied to each.
        """
        wanted = block_numbers(blocks, depth=len(self.blocks))
        tokens, grid = self._embed(images, None)
        stream = list(self._stream(tokens.flatten(0, 1), _packing([tokens])))
        taken = [stream[index].view_as(tokens) for index in wanted]
        return [self._features(self.norm(x) if norm else x, grid) for x in taken]

    def last_keys(self, images: Images) -> Float[Tensor, "batch tokens dim"]:
        """Return the keys of the last block, heads concatenated: CLS, registers, patches."""
        last, x = self._last_attention(images)
        return last.keys(x.flatten(0, 1)).view_as(x)

    def last_attention(self, images: Images) -> Float[Tensor, "batch heads patches"]:
        """Return how much CLS attends to each patch in the last block, head by head."""
        last, x = self._last_attention(images)
        return last.first_token(x)[:, :, 1 + self.num_registers :]

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 positions dim"]:
        """Return the position embeddings of CLS and of a (rows, columns) grid of patches."""
        return resize_pos_embed(self.pos_embed, grid=grid, interpolation=self.interpolation)

    def _embed(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, tuple[int, int]]:
        """Return [batch, CLS + registers + patches, dim] and the patch grid."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"images of {height}x{width} pixels do not divide into patches of "
                f"{self.patch_size}: resize or crop them to a multiple"
            )
        grid = (height // self.patch_size, width // self.patch_size)
        patches = self.patch_embed(images)
        if masks is not None:
            # Before the positions are added: a masked token still knows where it is.
            patches = torch.where(masks[:, :, None], self.mask_token.to(patches.dtype), patches)
        cls = self.cls_token.expand(images.shape[0], -1, -1)
        tokens = torch.cat([cls.to(patches.dtype), patches], dim=1) + self.positions(grid)
        if self.num_registers:
            registers = self.register_tokens.expand(images.shape[0], -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        return tokens, grid

    def _last_attention(self, images: Tensor) -> tuple[Attention, Tensor]:
        """Return the last block's attention and what it sees, [batch, tokens, dim]."""
        tokens, _ = self._embed(images, None)
        *earlier, last = cast("list[Block]", list(self.blocks))
        x = tokens.flatten(0, 1)
        for block in earlier:
            x = block(x, _packing([tokens]))
        return last.attn, last.norm1(x).view_as(tokens)

    def _wanted_rows(self, packing: Packing, patches: Tensor) -> Tensor:
        """Return the rows of all CLS tokens, then those of the wanted patches of the first size."""
        rows, first = [], 0
        for batch, tokens in packing:
            rows.append(first + tokens * torch.arange(batch, device=patches.device))
            first += batch * tokens
        tokens, others = packing[0][1], 1 + self.num_registers
        image = patches // (tokens - others)
        # Each image has tokens before its patches, and so have those before it.
        return torch.cat([*rows, patches + others * (image + 1)])

    def _stream(
        self,
        x: Tensor,
        packing: Packing,
        subsets: Sequence[Subset] | None = None,
        wanted: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Yield the residual stream after each block; after the last its wanted rows alone."""
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            pair = subsets and subsets[2 * index : 2 * index + 2]
            rows = wanted if index == last else None
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(
                    block, x, packing, pair, rows, use_reentrant=False, preserve_rng_state=False
                )
            else:
                x = block(x, packing, pair, rows)
            yield x

    def _draw_subsets(
        self, packing: Packing, device: torch.device, depth: DepthSource | None
    ) -> list[Subset] | None:
        if not self.drop_path or not self.training or depth is None:
            return None
        return draw_subsets(
            packing=packing,
            drop_path=self.drop_path,
            count=2 * len(self.blocks),
            source=depth,
            device=device,
        )

    def _features(self, tokens: Tensor, grid: tuple[int, int]) -> Features:
        cls, registers, patches = tokens.split([1, self.num_registers, grid[0] * grid[1]], dim=1)
        return Features(cls=cls[:, 0], patches=patches, registers=registers, grid=grid)


def block_numbers(blocks: int | Sequence[int], *, depth: int) -> list[int]:
    """Return the 0-based numbers of the last n blocks, or those that are given.

    Raises:
        ValueError: the model has no such block.
    """
    wanted = list(range(depth - blocks, depth)) if isinstance(blocks, int) else list(blocks)
    if not all(0 <= index < depth for index in wanted):
        raise ValueError(f"blocks {wanted} wanted, but the model has blocks 0 to {depth - 1}")
    return wanted


def build_vit(
    arch: str,
    *,
    patch_size: int | None = None,
    image_size: int | None = None,
    drop_path: float = 0.0,
    layer_scale: float = 1e-5,
    registers: int = 0,
    interpolation: Interpolation = "franca",
    generator: torch.Generator | None = None,
) -> VisionTransformer:
    """Build a model of the table `ARCHS`.

    Args:
        arch: name of a row.
        patch_size: replaces the row's, in pixels.
        image_size: replaces the row's, in pixels.
        drop_path: as all that follows, see `VisionTransformer`.
        layer_scale: initial value of every LayerScale.
        registers: number of register tokens.
        interpolation: law of the positions.
        generator: source of the initial weights.

    Raises:
        ValueError: if the name is unknown or a value is out of range.
    """
    if arch not in ARCHS:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(ARCHS)}")
    row = ARCHS[arch]
    return VisionTransformer(
        arch=dataclasses.replace(
            row,
            patch_size=patch_size or row.patch_size,
            image_size=image_size or row.image_size,
        ),
        drop_path=drop_path,
        layer_scale=layer_scale,
        registers=registers,
        interpolation=interpolation,
        generator=generator,
    )


def _packing(embedded: Sequence[Tensor]) -> Packing:
    return tuple((tokens.shape[0], tokens.shape[1]) for tokens in embedded)


def _check(arch: Arch, *, drop_path: float, interpolation: str) -> None:
    if arch.image_size % arch.patch_size or arch.image_size < 1:
        raise ValueError(
            f"image_size {arch.image_size} is not a multiple of patch_size {arch.patch_size}"
        )
    if arch.width % arch.heads:
        raise ValueError(f"width {arch.width} is not a multiple of heads {arch.heads}")
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path is {drop_path}, but must be at least 0 and below 1")
    laws = get_args(Interpolation)
    if interpolation not in laws:
        raise ValueError(f"interpolation is {interpolation!r}: choose one of {', '.join(laws)}")
