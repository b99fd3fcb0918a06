"""Tokens of several blocks before the final norm, of images that all have one size.

<folder>/<key>/tokens.npy      float16 or float32 [images, layers, tokens, dim], CLS first
<folder>/<key>/address.json    what the key is the hash of
<folder>/<key>/progress.json   how many images are done
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from franca.eval.features import PatchDtype, address_key, mapped, open_arrays, write_progress
from franca.eval.models import BlockModel, FeatureModel, shows_blocks
from franca.eval.native import CentrePad, Size, SizedImages

_FORMAT_VERSION = 2
NUM_LAYERS = 4


def spread_blocks(depth: int) -> tuple[int, ...]:
    """Return the last block of each quarter of the model (Probe3D): 2, 5, 8 and 11 of 12.

    Of fewer than four blocks, some appear twice.
    """
    quarters = range(1, NUM_LAYERS + 1)
    return tuple(max(0, quarter * depth // NUM_LAYERS - 1) for quarter in quarters)


@dataclass(frozen=True, kw_only=True)
class StreamedLayers:
    """Tokens of four blocks spread over the model, computed whenever they are asked for.

    They are rounded as stored ones are, so that nothing else differs.

    Attributes:
        model: on `device`, in evaluation mode.
        images: all of one size; zeros around them fill up whole patches.
        dtype: what tokens are rounded to.
        batch_size: images per forward pass.
        device: where the model is.

    Raises:
        ValueError: images of several sizes, or a model that does not show its blocks.
    """

    model: FeatureModel
    images: SizedImages
    dtype: PatchDtype
    batch_size: int
    device: torch.device

    def __post_init__(self) -> None:
        """Refuse what cannot be read, before any work."""
        if not shows_blocks(self.model):
            raise ValueError(
                f"{type(self.model).__name__} does not show its blocks before the final norm: "
                "remove probe3d_depth and probe3d_normals from evaluate.tasks"
            )
        sizes = {self.images.size(index) for index in range(len(self.images))}
        if len(sizes) != 1:
            raise ValueError(
                f"images of {len(sizes)} sizes ({sorted(sizes)[:3]}, …): geometry probes train on "
                "batches, crop or resize the set to one size"
            )

    @property
    def transform(self) -> CentrePad:
        """How images enter the model."""
        return CentrePad(self.model.patch_size)

    @cached_property
    def grid(self) -> Size:
        """Rows and columns of patches."""
        height, width = self.transform.input_size(self.images.size(0))
        return height // self.model.patch_size, width // self.model.patch_size

    @property
    def blocks(self) -> tuple[int, ...]:
        """Which blocks are read."""
        assert isinstance(self.model, BlockModel)  # refused at once otherwise
        return spread_blocks(self.model.depth)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, layers, tokens of each with CLS, width of a token."""
        rows, columns = self.grid
        return len(self.images), NUM_LAYERS, 1 + rows * columns, self.model.embed_dim

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(
        self, rows: Int[Tensor, " wanted"]
    ) -> Float[Tensor, "wanted layers tokens dim"]:
        """Return the tokens of some images, by their numbers."""
        return torch.cat([self._forward(part.tolist()) for part in rows.split(self.batch_size)])

    @torch.no_grad()
    def _forward(self, batch: Sequence[int]) -> Float[Tensor, "batch layers tokens dim"]:
        assert isinstance(self.model, BlockModel)  # refused at once otherwise
        pixels = torch.stack([self.transform(self.images.image(index)) for index in batch])
        found = self.model.forward_intermediate(pixels.to(self.device), self.blocks, norm=False)
        layers = [torch.cat([each.cls[:, None], each.patches], dim=1) for each in found]
        return torch.stack(layers, dim=1).to("cpu", getattr(torch, self.dtype))


def extract_layers(
    streamed: StreamedLayers, *, weights_digest: str, folder: Path
) -> Float[Tensor, "images layers tokens dim"]:
    """Store the tokens of four blocks, or find them already stored.

    Args:
        streamed: computes them.
        weights_digest: hash that stands for everything the model is.
        folder: where artefacts live.
    """
    address: dict[str, Any] = {
        "format": _FORMAT_VERSION,
        "weights": weights_digest,
        "images": streamed.images.digest,
        "transform": {"name": type(streamed.transform).__name__, **asdict(streamed.transform)},
        "blocks_before_norm": streamed.blocks,
        "dtype": streamed.dtype,
    }
    target, count = folder / address_key(address), len(streamed)
    tokens = open_arrays(target, address, {"tokens": (streamed.dtype, streamed.shape)})["tokens"]
    done = json.loads((target / "progress.json").read_text())["done"]
    batches = torch.arange(done, count).split(streamed.batch_size)
    for rows in tqdm(batches, desc=f"layers of {count} images", leave=False):
        tokens[rows.numpy()] = streamed[rows].numpy()
        tokens.flush()
        write_progress(target, int(rows[-1]) + 1)
    return mapped(target / "tokens.npy")
