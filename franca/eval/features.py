"""Features of a frozen model: extracted once, addressed by content, memory-mapped, resumable.

    <folder>/<key>/cls.npy         float32  [images, blocks, dim]  last blocks, first to last
    <folder>/<key>/mean_patch.npy  float32  [images, dim]
    <folder>/<key>/patches.npy     float16 or float32 [images, rows * columns, dim], if asked for
    <folder>/<key>/address.json    what the key is the hash of
    <folder>/<key>/progress.json   how many images are done

The key is a hash of weights, images, transform and layers: a second benchmark on the same features
costs nothing, and a killed extraction goes on where it stopped.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from franca.eval.datasets import ImageSet
from franca.eval.models import FeatureModel, Tokens, shows_blocks
from franca.eval.transforms import Transform, normalise, to_pixels

_LOGGER = logging.getLogger(__name__)
_FORMAT_VERSION = 1
PatchDtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class FeatureArtifact:
    """Extracted features on disk; arrays are mapped, not read."""

    folder: Path
    grid: tuple[int, int]

    @property
    def cls_blocks(self) -> Float[Tensor, "images blocks dim"]:
        """CLS token of the last blocks, first to last."""
        return mapped(self.folder / "cls.npy")

    @property
    def mean_patch(self) -> Float[Tensor, "images dim"]:
        """Mean of the last block's patch tokens."""
        return mapped(self.folder / "mean_patch.npy")

    @property
    def patches(self) -> Float[Tensor, "images patches dim"]:
        """Patch tokens of the last block, row-major."""
        return mapped(self.folder / "patches.npy")


def mapped(path: Path) -> Tensor:
    """Return an array on disk, read as it is used."""
    # Copy-on-write: torch refuses read-only memory, and nobody may change the file.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


class _Pixels(Dataset[Tensor]):
    def __init__(self, images: ImageSet, transform: Transform) -> None:
        self._images = images
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> UInt8[Tensor, "height width 3"]:
        return torch.from_numpy(to_pixels(self._transform(self._images.image(index))))


@dataclass(frozen=True, kw_only=True)
class StreamedPatches:
    """Patch tokens of a set that is too large to store: computed whenever they are asked for.

    They are rounded as stored ones are, so that nothing else differs.

    Attributes:
        model: on `device`, in evaluation mode.
        images: the images.
        chosen: whose tokens these are, rows of `images`.
        transform: from image to input pixels.
        dtype: what tokens are rounded to.
        batch_size: images per forward pass where no other number is asked for.
        num_workers: decoding processes; 0 decodes in this one.
        device: where the model is.
    """

    model: FeatureModel
    images: ImageSet
    chosen: tuple[int, ...]
    transform: Transform
    dtype: PatchDtype
    batch_size: int
    num_workers: int
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, patches of each, width of a token."""
        patches = (self.transform.size // self.model.patch_size) ** 2
        return len(self.chosen), patches, self.model.embed_dim

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.chosen)

    def split(self, images: int) -> Iterator[Float[Tensor, "images patches dim"]]:
        """Yield the tokens of so many images at a time, in order."""
        pixels = Subset(_Pixels(self.images, self.transform), self.chosen)
        batches = DataLoader(pixels, batch_size=images, num_workers=self.num_workers)
        few = len(batches) < 4
        for batch in tqdm(batches, desc=f"streaming {len(self)} images", disable=few, leave=False):
            last = tokens_of(self.model, normalise(batch.to(self.device)), blocks=1)[-1]
            yield last.patches.to("cpu", getattr(torch, self.dtype))

    def __iter__(self) -> Iterator[Float[Tensor, "patches dim"]]:
        """Yield the tokens of each image."""
        for tokens in self.split(self.batch_size):
            yield from tokens

    def __getitem__(self, rows: Int[Tensor, " wanted"]) -> Float[Tensor, "wanted patches dim"]:
        """Return the tokens of some images, by their numbers."""
        return torch.cat(list(self.select(rows).split(self.batch_size)))

    def select(self, rows: Tensor) -> "StreamedPatches":
        """Return the same of some images only, by their numbers or a mask; nothing is computed."""
        return replace(self, chosen=tuple(torch.tensor(self.chosen)[rows].tolist()))


def all_tokens(
    patches: Float[Tensor, "images patches dim"] | StreamedPatches,
) -> Float[Tensor, "tokens dim"]:
    """Return the tokens of all images one after the other; those not stored are held in memory."""
    if isinstance(patches, Tensor):
        return patches.flatten(0, 1)
    return torch.cat(list(patches.split(patches.batch_size))).flatten(0, 1)


def extract(
    model: FeatureModel,
    images: ImageSet,
    *,
    weights_digest: str,
    transform: Transform,
    blocks: int,
    store_patches: bool,
    patch_dtype: PatchDtype,
    folder: Path,
    batch_size: int,
    num_workers: int,
    device: torch.device,
) -> FeatureArtifact:
    """Extract the features of a set of images, or find them already extracted.

    Args:
        model: on `device`, in evaluation mode.
        images: the images, in the order of the rows to be.
        weights_digest: hash that stands for everything the model is.
        transform: from image to input pixels.
        blocks: store the CLS tokens of so many last blocks.
        store_patches: whether to store the last block's patch tokens.
        patch_dtype: how to store patch tokens.
        folder: where artefacts live.
        batch_size: images per forward pass; changes no feature beyond rounding.
        num_workers: decoding processes; 0 decodes in this one.
        device: where the model is.

    Raises:
        ValueError: the input size is not a multiple of the patch size, or the model does not show
            earlier blocks and more than one is wanted.
    """
    if transform.size % model.patch_size:
        raise ValueError(
            f"evaluation image size {transform.size} is not a multiple of the patch size "
            f"{model.patch_size}: change evaluate.crop_size or evaluate.dense_size"
        )
    side = transform.size // model.patch_size
    address = {
        "format": _FORMAT_VERSION,
        "weights": weights_digest,
        "images": images.digest,
        "transform": {"name": type(transform).__name__, **asdict(transform)},
        "blocks": blocks,
        "patches": patch_dtype if store_patches else None,
    }
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "cls": ("float32", (len(images), blocks, model.embed_dim)),
        "mean_patch": ("float32", (len(images), model.embed_dim)),
    }
    if store_patches:
        shapes["patches"] = (patch_dtype, (len(images), side * side, model.embed_dim))
    target = folder / address_key(address)
    arrays = open_arrays(target, address, shapes)
    done = json.loads((target / "progress.json").read_text())["done"]
    batches = DataLoader(
        Subset(_Pixels(images, transform), range(done, len(images))),
        batch_size=batch_size,
        num_workers=num_workers,
    )
    for pixels in tqdm(
        batches, desc=f"features of {len(images)} images", disable=len(batches) < 4, leave=False
    ):
        tokens = tokens_of(model, normalise(pixels.to(device)), blocks=blocks)
        stop = done + len(pixels)
        for name, values in _rows(tokens, store_patches=store_patches).items():
            arrays[name][done:stop] = values.cpu().numpy()
            arrays[name].flush()
        done = stop
        write_progress(target, done)
    return FeatureArtifact(folder=target, grid=(side, side))


def address_key(address: dict[str, Any]) -> str:
    """Return the name of the folder of what an address describes."""
    return hashlib.sha256(json.dumps(address, sort_keys=True).encode()).hexdigest()[:32]


def open_arrays(
    target: Path, address: dict[str, Any], shapes: dict[str, tuple[str, tuple[int, ...]]]
) -> "dict[str, np.memmap[Any, Any]]":
    """Open the arrays of a folder to write, created on first use with a progress of 0."""
    if not (target / "progress.json").exists():
        target.mkdir(parents=True, exist_ok=True)
        size = sum(np.dtype(dtype).itemsize * np.prod(shape) for dtype, shape in shapes.values())
        _LOGGER.info("features take %.1f MB in %s", size / 1e6, target.name)
        for name, (dtype, shape) in shapes.items():
            np.lib.format.open_memmap(target / f"{name}.npy", "w+", dtype=dtype, shape=shape)
        (target / "address.json").write_text(json.dumps(address, indent=1, sort_keys=True))
        write_progress(target, 0)
    return {name: np.lib.format.open_memmap(target / f"{name}.npy", "r+") for name in shapes}


def write_progress(target: Path, done: int) -> None:
    """Note, atomically, that the first `done` items are in the arrays."""
    temporary = target / "progress.json.tmp"
    temporary.write_text(json.dumps({"done": done}))
    temporary.replace(target / "progress.json")


@torch.no_grad()
def tokens_of(
    model: FeatureModel, images: Float[Tensor, "batch 3 height width"], *, blocks: int
) -> Sequence[Tokens]:
    """Return the tokens of the last blocks, first to last.

    Raises:
        ValueError: the model shows its last block only and more are wanted.
    """
    if blocks == 1:
        return [model.forward_features(images)]
    if not shows_blocks(model):
        raise ValueError(
            f"{type(model).__name__} shows its last block only: set evaluate.linear.blocks to [1]"
        )
    return model.forward_intermediate(images, blocks, norm=True)


def _rows(tokens: Sequence[Tokens], *, store_patches: bool) -> dict[str, Tensor]:
    last = tokens[-1].patches
    rows = {
        "cls": torch.stack([block.cls for block in tokens], dim=1),
        "mean_patch": last.mean(1),
    }
    return rows | ({"patches": last} if store_patches else {})


def digest_files(*paths: Path) -> str:
    """Return one hash for the content of several files, in order."""
    digests: list[str] = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
