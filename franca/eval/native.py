"""Patch tokens or keys of images that keep their own size: as many rows as each image has patches.

<folder>/<key>/tokens.npy      float16 or float32 [patches of all images, dim]
<folder>/<key>/address.json    what the key is the hash of
<folder>/<key>/progress.json   how many images are done
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
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


def patch_grids(images: SizedImages, transform: NativeTransform) -> tuple[Size, ...]:
    """Return rows and columns of the patches of every image."""
    sizes = (transform.input_size(images.size(index)) for index in range(len(images)))
    patch = transform.patch_size
    return tuple((height // patch, width // patch) for height, width in sizes)


@dataclass(frozen=True)
class StoredTokens:
    """Extracted tokens on disk, mapped when asked for."""

    folder: Path
    grids: tuple[Size, ...]

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows dim"]:
        """Return the tokens of images `start` to `stop`, one after the other."""
        starts = _starts(self.grids)
        mapped = np.load(self.folder / "tokens.npy", mmap_mode="c", allow_pickle=False)
        return torch.from_numpy(mapped[starts[start] : starts[stop]])


@dataclass(frozen=True, kw_only=True)
class StreamedTokens:
    """Tokens of images of any size, computed whenever they are asked for.

    They are rounded as stored ones are, so that nothing else differs.

    Attributes:
        model: on `device`, in evaluation mode.
        images: neighbours of one size share a batch.
        kind: patch tokens after the final norm or, raw, before it; or keys of the last block.
        transform: from image to input.
        dtype: what tokens are rounded to.
        batch_size: images per forward pass.
        device: where the model is.

    Raises:
        ValueError: tokens or keys are wanted of a model that does not show them.
    """

    model: FeatureModel
    images: SizedImages
    kind: TokenKind
    transform: NativeTransform
    dtype: PatchDtype
    batch_size: int
    device: torch.device

    def __post_init__(self) -> None:
        """Refuse a model that does not show what is wanted, before any work."""
        name = type(self.model).__name__
        if self.kind == "raw" and not shows_blocks(self.model):
            raise ValueError(
                f"{name} does not show tokens before its final norm: "
                "remove spair, navi, scannet and correspondence from evaluate.tasks"
            )
        if self.kind == "keys" and not shows_keys(self.model):
            raise ValueError(
                f"{name} does not show the keys of its last block: "
                "remove tokencut and lost from evaluate.tasks"
            )

    @cached_property
    def grids(self) -> tuple[Size, ...]:
        """Rows and columns of the patches of every image."""
        return patch_grids(self.images, self.transform)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows dim"]:
        """Return the tokens of images `start` to `stop`, one after the other."""
        return torch.cat([tokens for _, tokens in self.batches(start, stop)])

    def batches(self, start: int, stop: int) -> Iterator[tuple[int, Float[Tensor, "rows dim"]]]:
        """Yield the tokens of several images of one size at a time, with where these end."""
        for _, members in groupby(range(start, stop), key=self.grids.__getitem__):
            run = list(members)
            for first in range(0, len(run), self.batch_size):
                batch = run[first : first + self.batch_size]
                yield batch[-1] + 1, self._forward(batch)

    @torch.no_grad()
    def _forward(self, batch: Sequence[int]) -> Float[Tensor, "rows dim"]:
        pixels = torch.stack([self.transform(self.images.image(index)) for index in batch])
        found = self._tokens(pixels.to(self.device), grid=self.grids[batch[0]])
        return found.flatten(0, 1).to("cpu", getattr(torch, self.dtype))

    def _tokens(self, pixels: Tensor, *, grid: Size) -> Float[Tensor, "batch patches dim"]:
        if self.kind == "patches":
            return self.model.forward_features(pixels).patches
        if self.kind == "raw":
            assert isinstance(self.model, BlockModel)  # refused at once otherwise
            return self.model.forward_intermediate(pixels, 1, norm=False)[-1].patches
        assert isinstance(self.model, KeyModel)  # likewise
        return self.model.last_keys(pixels)[:, -grid[0] * grid[1] :]


NativeTokens = StoredTokens | StreamedTokens


def _starts(grids: tuple[Size, ...]) -> list[int]:
    return [0, *np.cumsum([rows * columns for rows, columns in grids]).tolist()]


def extract_native(streamed: StreamedTokens, *, weights_digest: str, folder: Path) -> StoredTokens:
    """Store tokens of images of any size, or find them already stored.

    Args:
        streamed: computes them.
        weights_digest: hash that stands for everything the model is.
        folder: where artefacts live.
    """
    starts = _starts(streamed.grids)
    address: dict[str, Any] = {
        "format": _FORMAT_VERSION,
        "weights": weights_digest,
        "images": streamed.images.digest,
        "transform": {"name": type(streamed.transform).__name__, **asdict(streamed.transform)},
        "native": streamed.kind,
        "dtype": streamed.dtype,
    }
    target = folder / address_key(address)
    shape = (starts[-1], streamed.model.embed_dim)
    tokens = open_arrays(target, address, {"tokens": (streamed.dtype, shape)})["tokens"]
    done, count = json.loads((target / "progress.json").read_text())["done"], len(streamed.images)
    with tqdm(
        total=count,
        initial=done,
        desc=f"{streamed.kind} of {count} images",
        unit="image",
        leave=False,
    ) as bar:
        for stop, found in streamed.batches(done, count):
            tokens[starts[done] : starts[stop]] = found.numpy()
            tokens.flush()
            write_progress(target, stop)
            bar.update(stop - done)
            done = stop
    return StoredTokens(folder=target, grids=streamed.grids)
