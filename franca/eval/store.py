"""From images on disk to what benchmarks see, extracting each feature once."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from franca.eval.benchmark import (
    ClassificationInputs,
    DenseFeatures,
    ImageFeatures,
    PictureInputs,
    SegmentationInputs,
)
from franca.eval.crops import pad_to_patches
from franca.eval.datasets import ImageSet, LabelledImages
from franca.eval.features import (
    FeatureArtifact,
    PatchDtype,
    StreamedPatches,
    extract,
)
from franca.eval.lazy import Lazy
from franca.eval.masked import SegmentationImages
from franca.eval.models import FeatureModel
from franca.eval.native import (
    NativeTokens,
    NativeTransform,
    SizedImages,
    StreamedTokens,
    TokenKind,
    extract_native,
    patch_grids,
)
from franca.eval.targets import load_targets
from franca.eval.transforms import CentreCrop, Square, Transform, to_pixels

_LOGGER = logging.getLogger(__name__)


class Space(NamedTuple):
    """What features take, in bytes: of those that are stored, and of those computed when read."""

    stored: int
    streamed: int = 0


@dataclass(frozen=True, kw_only=True)
class FeatureStore:
    """One model and how its features are extracted.

    Attributes:
        model: on `device`, in evaluation mode.
        weights_digest: hash that stands for everything the model is.
        crop: transform of classification sets.
        square: transform of dense sets.
        frame_side: short side of video frames in pixels; None keeps their own.
        pair_side: pixels of a side that images of pairs are resized to.
        retrieval_sides: pixels of a side of the squares that images to be retrieved are seen at.
        blocks: CLS tokens of so many last blocks are kept.
        patch_dtype: how patch tokens are stored.
        max_bytes: patch tokens or keys of a split that take more are not stored.
        folder: where features lie.
        batch_size: images per forward pass.
        num_workers: decoding processes.
        device: where the model is.
    """

    model: FeatureModel
    weights_digest: str
    crop: CentreCrop
    square: Square
    frame_side: int | None
    pair_side: int
    retrieval_sides: tuple[int, ...]
    blocks: int
    patch_dtype: PatchDtype
    max_bytes: float
    folder: Path
    batch_size: int
    num_workers: int
    device: torch.device

    @property
    def whole_crop(self) -> CentreCrop:
        """The crop of fine-grained sets: the same size, but the short side in full."""
        return CentreCrop(resize=self.crop.crop, crop=self.crop.crop)

    def image_bytes(self, images: int) -> int:
        """Return what the features of so many images take on disk, in bytes, without patches."""
        return images * (self.blocks + 1) * self.model.embed_dim * np.dtype(np.float32).itemsize

    def dense_bytes(self, images: int) -> int:
        """Return what the features of so many images take on disk, in bytes, with patches."""
        patches = (self.square.side // self.model.patch_size) ** 2
        size = patches * np.dtype(self.patch_dtype).itemsize + 2 * np.dtype(np.float32).itemsize
        return images * size * self.model.embed_dim

    def patch_bytes(self, patches: int) -> int:
        """Return what so many tokens of one kind take on disk, in bytes."""
        return patches * np.dtype(self.patch_dtype).itemsize * self.model.embed_dim

    @torch.inference_mode()
    def seconds_per_image(self, size: tuple[int, int]) -> float:
        """Time the model alone on one batch of images of this height and width."""
        images = torch.zeros(self.batch_size, 3, *size, device=self.device)
        self.model.forward_features(images[:1])
        start = time.perf_counter()
        float(self.model.forward_features(images).cls.sum())  # waits for the device
        return (time.perf_counter() - start) / self.batch_size

    def _extract(
        self, images: ImageSet, transform: Transform, *, store_patches: bool
    ) -> FeatureArtifact:
        return extract(
            self.model,
            images,
            weights_digest=self.weights_digest,
            transform=transform,
            blocks=1 if store_patches else self.blocks,
            store_patches=store_patches,
            patch_dtype=self.patch_dtype,
            folder=self.folder,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            device=self.device,
        )

    def image_features(
        self, images: LabelledImages, *, crop: CentreCrop | None = None
    ) -> ImageFeatures:
        """Return the features of one split, of its centre crops or of another crop."""
        found = self._extract(images, crop or self.crop, store_patches=False)
        return ImageFeatures(
            cls_blocks=found.cls_blocks,
            mean_patch=found.mean_patch,
            labels=torch.from_numpy(images.labels),
        )

    def classification(
        self,
        train: LabelledImages,
        test: LabelledImages,
        *,
        validation: LabelledImages | None = None,
        crop: CentreCrop | None = None,
    ) -> ClassificationInputs:
        """Return the features of all splits, of centre crops or of another crop.

        Raises:
            ValueError: the splits name different classes.
        """
        for other in (test, validation):
            if other is not None and train.names != other.names:
                raise ValueError(
                    f"train has {len(train.names)} classes and another split {len(other.names)}, "
                    "or their names differ: all splits must list the same classes"
                )
        return ClassificationInputs(
            train=self.image_features(train, crop=crop),
            test=self.image_features(test, crop=crop),
            num_classes=len(train.names),
            validation=None if validation is None else self.image_features(validation, crop=crop),
        )

    def cls_tokens(
        self, images: ImageSet, *, transform: Transform | None = None
    ) -> Float[Tensor, "images dim"]:
        """Return the CLS tokens of images whose labels play no part."""
        found = self._extract(images, transform or self.crop, store_patches=False)
        return found.cls_blocks[:, -1]

    def keeps(self, size: int, *, images: int) -> bool:
        """Decide whether patch tokens or keys of a split are stored, and say so.

        Args:
            size: of all of them, in bytes.
            images: how many they are of.
        """
        if size <= self.max_bytes:
            return True
        _LOGGER.info(
            "tokens of %d images would take %.1f GB, evaluate.max_feature_gigabytes is %g: "
            "they are computed whenever they are read",
            images,
            size / 1e9,
            self.max_bytes / 1e9,
        )
        return False

    def space(self, *sizes: int) -> Space:
        """Say of the patch tokens or keys of splits how much of them is stored."""
        stored = sum(size for size in sizes if size <= self.max_bytes)
        return Space(stored=stored, streamed=sum(sizes) - stored)

    def _dense_features(self, images: SegmentationImages, *, ignore_index: int) -> DenseFeatures:
        side = self.square.side // self.model.patch_size
        targets = load_targets(
            images, side=self.square.side, grid=(side, side), ignore_index=ignore_index
        )
        return DenseFeatures(
            patches=self._patches(images),
            grid=(side, side),
            masks=targets.masks,
            depth=targets.depth,
            normals=targets.normals,
        )

    def _patches(
        self, images: SegmentationImages
    ) -> Float[Tensor, "images patches dim"] | StreamedPatches:
        if self.keeps(self.dense_bytes(len(images)), images=len(images)):
            return self._extract(images, self.square, store_patches=True).patches
        return StreamedPatches(
            model=self.model,
            images=images,
            chosen=tuple(range(len(images))),
            transform=self.square,
            dtype=self.patch_dtype,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            device=self.device,
        )

    def segmentation(
        self,
        train: SegmentationImages,
        test: SegmentationImages,
        *,
        num_classes: int,
        ignore_index: int,
    ) -> SegmentationInputs:
        """Return the features and dense targets of both splits."""
        return SegmentationInputs(
            train=self._dense_features(train, ignore_index=ignore_index),
            test=self._dense_features(test, ignore_index=ignore_index),
            num_classes=num_classes,
            ignore_index=ignore_index,
        )

    def native_bytes(self, images: SizedImages, transform: NativeTransform) -> int:
        """Return what tokens of images that keep their own size take, in bytes."""
        return self.patch_bytes(sum(map(math.prod, patch_grids(images, transform))))

    def native_tokens(
        self, images: SizedImages, transform: NativeTransform, *, kind: TokenKind
    ) -> NativeTokens:
        """Return the tokens of images that keep their own size."""
        streamed = StreamedTokens(
            model=self.model,
            images=images,
            kind=kind,
            transform=transform,
            dtype=self.patch_dtype,
            batch_size=self.batch_size,
            device=self.device,
        )
        if not self.keeps(self.native_bytes(images, transform), images=len(images)):
            return streamed
        return extract_native(streamed, weights_digest=self.weights_digest, folder=self.folder)

    @torch.no_grad()
    def encode(
        self,
        images: Float[Tensor, "batch 3 height width"],
        masks: UInt8[Tensor, "batch height width"],
    ) -> Float[Tensor, "batch dim rows columns"]:
        """Return maps of patch tokens of normalised images of any size, which are padded."""
        del masks
        padded = pad_to_patches(images.to(self.device), patch_size=self.model.patch_size)
        rows, columns = (side // self.model.patch_size for side in padded.shape[2:])
        tokens = self.model.forward_features(padded).patches
        maps: Tensor = tokens.mT.unflatten(2, (rows, columns))
        return maps

    def pictures(
        self,
        train: SegmentationImages,
        test: SegmentationImages,
        *,
        num_classes: int,
        ignore_index: int,
    ) -> PictureInputs:
        """Return images and masks as stored, with the model that reads them."""
        return PictureInputs(
            train=Lazy(len(train), train.picture),
            test=Lazy(len(test), test.picture),
            encode=self.encode,
            dim=self.model.embed_dim,
            patch_size=self.model.patch_size,
            num_classes=num_classes,
            ignore_index=ignore_index,
            num_workers=self.num_workers,
        )

    def samples(self, images: SegmentationImages, chosen: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return the chosen images with their patch tokens.

        Returns:
            images [n, side, side, 3] uint8, masks [n, side, side] uint8, patches [n, rows *
            columns, dim] float16, grid (rows, columns).
        """
        patches, side = self._patches(images), self.square.side
        return {
            "images": np.stack([to_pixels(self.square(images.image(i))) for i in chosen]),
            "masks": np.stack([images.mask(i, side=side) for i in chosen]),
            "patches": patches[torch.tensor(chosen)].to(torch.float16).numpy(),
            "grid": np.array((side // self.model.patch_size,) * 2),
        }
