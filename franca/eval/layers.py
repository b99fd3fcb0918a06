"""Tokens of several blocks before the final norm, of images that all have one size.

<folder>/<key>/cls.npy         float16 or float32 [images, layers, dim]
<folder>/<key>/patches.npy     float16 or float32 [images, layers, rows * columns, dim]
<folder>/<key>/address.json    what the key is the hash of
<folder>/<key>/progress.json   how many images are done
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from franca.eval.features import (
    PatchDtype,
    address_key,
    open_arrays,
    write_progress,
)
from franca.eval.models import FeatureModel, shows_blocks
from franca.eval.native import CentrePad, Size, SizedImages

_FORMAT_VERSION = 1
NUM_LAYERS = 4


@dataclass(frozen=True)
class LayerTokens:
    """Extracted tokens on disk, mapped when asked for."""

    folder: Path
    grid: Size

    @property
    def cls(self) -> Float[Tensor, "images layers dim"]:
        """CLS tokens."""
        return self._mapped("cls")

    @property
    def patches(self) -> Float[Tensor, "images layers patches dim"]:
        """Patch tokens, row-major."""
        return self._mapped("patches")

    def _mapped(self, name: str) -> Tensor:
        array = np.load(self.folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
        return torch.from_numpy(array)


def spread_blocks(depth: int) -> tuple[int, ...]:
    """Return the last block of each quarter of the model (Probe3D): 2, 5, 8 and 11 of 12.

    Of fewer than four blocks, some appear twice.
    """
    quarters = range(1, NUM_LAYERS + 1)
    return tuple(max(0, quarter * depth // NUM_LAYERS - 1) for quarter in quarters)


def extract_layers(
    model: FeatureModel,
    images: SizedImages,
    *,
    weights_digest: str,
    dtype: PatchDtype,
    folder: Path,
    batch_size: int,
    device: torch.device,
) -> LayerTokens:
    """Extract the tokens of four blocks spread over the model, or find them already extracted.

    Args:
        model: on `device`, in evaluation mode.
        images: all of one size; zeros around them fill up whole patches.
        weights_digest: hash that stands for everything the model is.
        dtype: how tokens are stored.
        folder: where artefacts live.
        batch_size: images per forward pass.
        device: where the model is.

    Raises:
        ValueError: images of several sizes, or a model that does not show its blocks.
    """
    if not shows_blocks(model):
        raise ValueError(
            f"{type(model).__name__} does not show its blocks before the final norm: "
            "remove probe3d_depth and probe3d_normals from evaluate.tasks"
        )
    transform = CentrePad(model.patch_size)
    height, width = transform.input_size(_common_size(images))
    grid = (height // model.patch_size, width // model.patch_size)
    blocks = spread_blocks(model.depth)
    address: dict[str, Any] = {
        "format": _FORMAT_VERSION,
        "weights": weights_digest,
        "images": images.digest,
        "transform": {"name": type(transform).__name__, **asdict(transform)},
        "blocks_before_norm": blocks,
        "dtype": dtype,
    }
    count, dim = len(images), model.embed_dim
    target = folder / address_key(address)
    arrays = open_arrays(
        target,
        address,
        {
            "cls": (dtype, (count, NUM_LAYERS, dim)),
            "patches": (dtype, (count, NUM_LAYERS, grid[0] * grid[1], dim)),
        },
    )
    done = json.loads((target / "progress.json").read_text())["done"]
    starts = range(done, count, batch_size)
    for start in tqdm(starts, desc=f"layers of {count} images", leave=False):
        stop = min(start + batch_size, count)
        pixels = torch.stack([transform(images.image(index)) for index in range(start, stop)])
        with torch.inference_mode():
            found = model.forward_intermediate(pixels.to(device), blocks, norm=False)
        for name in arrays:
            tokens = torch.stack([getattr(layer, name) for layer in found], dim=1)
            arrays[name][start:stop] = tokens.cpu().numpy()
            arrays[name].flush()
        write_progress(target, stop)
    return LayerTokens(folder=target, grid=grid)


def _common_size(images: SizedImages) -> Size:
    sizes = {images.size(index) for index in range(len(images))}
    if len(sizes) != 1:
        raise ValueError(
            f"images of {len(sizes)} sizes ({sorted(sizes)[:3]}, …): geometry probes train on "
            "batches, crop or resize the set to one size"
        )
    return sizes.pop()
