"""Patch tokens or keys of images that keep their own size: as many rows as each image has patches.

<folder>/<key>/tokens.npy      float16 or float32 [patches of all images, dim]
<folder>/<key>/address.json    what the key is the hash of
<folder>/<key>/progress.json   how many images are done
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from franca.eval.datasets import ImageSet
from franca.eval.features import (
    PatchDtype,
    address_key,
    open_arrays,
    write_progress,
)
from franca.eval.models import BlockModel, FeatureModel, KeyModel, shows_blocks, shows_keys
from franca.eval.transforms import IMAGENET_MEAN, IMAGENET_STD, to_pixels

_FORMAT_VERSION = 1
TokenKind = Literal["patches", "raw", "keys"]
Size = tuple[int, int]


@runtime_checkable
class SizedImages(ImageSet, Protocol):
    """An `ImageSet` that knows the size of an image without decoding it."""

    def size(self, index: int) -> Size:
        """Return height and width in pixels."""


def _scaled(image: Image.Image, std: tuple[float, ...]) -> Float[Tensor, "3 height width"]:
    pixels = torch.from_numpy(to_pixels(image)).permute(2, 0, 1).float() / 255
    mean = torch.tensor(IMAGENET_MEAN)[:, None, None]
    return (pixels - mean) / torch.tensor(std)[:, None, None]


@dataclass(frozen=True)
class PadToPatches:
    """Keep the pixels; zeros below and to the right up to whole patches (TokenCut, LOST)."""

    patch_size: int

    def input_size(self, size: Size) -> Size:
        """Return height and width of the model's input."""
        height, width = (-(-side // self.patch_size) * self.patch_size for side in size)
        return height, width

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Return the normalised image."""
        height, width = self.input_size((image.height, image.width))
        padding = (0, width - image.width, 0, height - image.height)
        return nn.functional.pad(_scaled(image, IMAGENET_STD), padding)


@dataclass(frozen=True)
class SnapToPatches:
    """Scale the short side, then move both sides to the nearest multiple of the patch.

    Bilinear without antialiasing, as the reference of label propagation.

    Attributes:
        short_side: pixels; None keeps the image's own.
        patch_size: pixels of a side of a patch.
        std: standard deviation of the colours; DINO's label propagation has .228 for red.
    """

    short_side: int | None
    patch_size: int
    std: tuple[float, float, float] = (0.228, 0.224, 0.225)

    def input_size(self, size: Size) -> Size:
        """Return height and width of the model's input."""
        factor = (self.short_side or min(size)) / min(size)
        height, width = (
            max(1, round(side * factor / self.patch_size)) * self.patch_size for side in size
        )
        return height, width

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Return the normalised image."""
        size = self.input_size((image.height, image.width))
        return nn.functional.interpolate(_scaled(image, self.std)[None], size, mode="bilinear")[0]


@dataclass(frozen=True)
class WhiteSquare:
    """Extend to a square with white, resize it, and surround it with zeros up to whole patches.

    As Probe3D does on SPair-71k: what surrounds the square shifts the patches a little, which
    nothing undoes.

    Attributes:
        side: pixels of the square (bicubic with antialiasing).
        patch_size: pixels of a side of a patch.
    """

    side: int
    patch_size: int

    def input_size(self, size: Size) -> Size:
        """Return height and width of the model's input, whatever the image's."""
        del size
        side = -(-self.side // self.patch_size) * self.patch_size
        return side, side

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Return the normalised image."""
        square = Image.new("RGB", (max(image.size), max(image.size)), "white")
        square.paste(image)
        resized = square.resize((self.side, self.side), Image.Resampling.BICUBIC)
        missing = self.input_size(image.size)[0] - self.side
        before, after = missing // 2, missing - missing // 2
        return nn.functional.pad(_scaled(resized, IMAGENET_STD), (before, after, before, after))


@dataclass(frozen=True)
class CentrePad:
    """Keep the pixels; zeros on all sides up to whole patches, as Probe3D does.

    What surrounds the image shifts its patches a little, which nothing undoes.
    """

    patch_size: int

    def input_size(self, size: Size) -> Size:
        """Return height and width of the model's input."""
        return PadToPatches(self.patch_size).input_size(size)

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Return the normalised image."""
        height, width = self.input_size((image.height, image.width))
        left, top = (width - image.width) // 2, (height - image.height) // 2
        padding = (left, width - image.width - left, top, height - image.height - top)
        return nn.functional.pad(_scaled(image, IMAGENET_STD), padding)


NativeTransform = PadToPatches | SnapToPatches | WhiteSquare | CentrePad


@dataclass(frozen=True)
class NativeTokens:
    """Extracted tokens on disk, mapped when asked for."""

    folder: Path
    grids: tuple[Size, ...]

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows dim"]:
        """Return the tokens of images `start` to `stop`, one after the other."""
        starts = _starts(self.grids)
        mapped = np.load(self.folder / "tokens.npy", mmap_mode="c", allow_pickle=False)
        return torch.from_numpy(mapped[starts[start] : starts[stop]])


def _starts(grids: tuple[Size, ...]) -> list[int]:
    return [0, *np.cumsum([rows * columns for rows, columns in grids]).tolist()]


def patch_grids(images: SizedImages, transform: NativeTransform) -> tuple[Size, ...]:
    """Return rows and columns of the patches of every image."""
    sizes = (transform.input_size(images.size(index)) for index in range(len(images)))
    patch = transform.patch_size
    return tuple((height // patch, width // patch) for height, width in sizes)


def extract_native(
    model: FeatureModel,
    images: SizedImages,
    *,
    kind: TokenKind,
    transform: NativeTransform,
    weights_digest: str,
    dtype: PatchDtype,
    folder: Path,
    batch_size: int,
    device: torch.device,
) -> NativeTokens:
    """Extract tokens of images of any size, or find them already extracted.

    Args:
        model: on `device`, in evaluation mode.
        images: the images; neighbours of one size share a batch.
        kind: patch tokens after the final norm or, raw, before it; or keys of the last block.
        transform: from image to input.
        weights_digest: hash that stands for everything the model is.
        dtype: how tokens are stored.
        folder: where artefacts live.
        batch_size: images per forward pass.
        device: where the model is.

    Raises:
        ValueError: keys are wanted of a model that does not show them.
    """
    if kind == "raw" and not shows_blocks(model):
        raise ValueError(
            f"{type(model).__name__} does not show tokens before its final norm: "
            "remove spair, navi, scannet and correspondence from evaluate.tasks"
        )
    if kind == "keys" and not shows_keys(model):
        raise ValueError(
            f"{type(model).__name__} does not show the keys of its last block: "
            "remove tokencut and lost from evaluate.tasks"
        )
    grids = patch_grids(images, transform)
    starts = _starts(grids)
    address: dict[str, Any] = {
        "format": _FORMAT_VERSION,
        "weights": weights_digest,
        "images": images.digest,
        "transform": {"name": type(transform).__name__, **asdict(transform)},
        "native": kind,
        "dtype": dtype,
    }
    target = folder / address_key(address)
    tokens = open_arrays(target, address, {"tokens": (dtype, (starts[-1], model.embed_dim))})[
        "tokens"
    ]
    done = json.loads((target / "progress.json").read_text())["done"]
    with tqdm(
        total=len(images),
        initial=done,
        desc=f"{kind} of {len(images)} images",
        unit="image",
        leave=False,
    ) as bar:
        for batch in _batches(grids, done, batch_size):
            pixels = torch.stack([transform(images.image(index)) for index in batch]).to(device)
            found = _forward(model, pixels, kind=kind, grid=grids[batch[0]])
            stop = batch[-1] + 1
            tokens[starts[batch[0]] : starts[stop]] = found.flatten(0, 1).cpu().numpy()
            tokens.flush()
            write_progress(target, stop)
            bar.update(len(batch))
    return NativeTokens(folder=target, grids=grids)


def _batches(grids: tuple[Size, ...], done: int, batch_size: int) -> Iterator[list[int]]:
    """Cut the remaining images into batches of one size each, order kept."""
    for _, members in groupby(range(done, len(grids)), key=lambda index: grids[index]):
        run = list(members)
        for first in range(0, len(run), batch_size):
            yield run[first : first + batch_size]


@torch.inference_mode()
def _forward(model: FeatureModel, pixels: Tensor, *, kind: TokenKind, grid: Size) -> Tensor:
    if kind == "patches":
        return model.forward_features(pixels).patches
    if kind == "raw":
        assert isinstance(model, BlockModel)  # refused before any work
        return model.forward_intermediate(pixels, 1, norm=False)[-1].patches
    assert isinstance(model, KeyModel)  # refused before any work
    return model.last_keys(pixels)[:, -grid[0] * grid[1] :]
