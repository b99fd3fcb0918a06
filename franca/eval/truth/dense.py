"""Perfect features of patches: the classes, depth, normals or places of their pixels."""

import dataclasses

from jaxtyping import Float
from torch import Tensor

from franca.eval.benchmark import (
    DenseFeatures,
    PictureInputs,
    SegmentationInputs,
)
from franca.eval.crops import pad_to_patches
from franca.eval.in_context import patch_labels
from franca.eval.position import positions


def _with_patches(split: DenseFeatures, patches: Tensor) -> DenseFeatures:
    return DenseFeatures(
        patches=patches.float(),
        grid=split.grid,
        masks=split.masks,
        depth=split.depth,
        normals=split.normals,
    )


def patch_classes(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the shares of the classes among its pixels."""

    def shares(split: DenseFeatures) -> DenseFeatures:
        found = patch_labels(
            split.masks,
            grid=split.grid,
            num_classes=inputs.num_classes,
            ignore_index=inputs.ignore_index,
        )
        return _with_patches(split, found)

    return dataclasses.replace(inputs, train=shares(inputs.train), test=shares(inputs.test))


def pixel_classes(inputs: PictureInputs) -> PictureInputs:
    """Return the same images with an encoder that sees the shares of the classes in a patch."""

    def shares(images: Tensor, masks: Tensor) -> Float[Tensor, "batch classes rows columns"]:
        del images
        void, patch_size = inputs.ignore_index, inputs.patch_size
        padded = pad_to_patches(masks, patch_size=patch_size, value=void)
        grid = (padded.shape[1] // patch_size, padded.shape[2] // patch_size)
        found = patch_labels(padded, grid=grid, num_classes=inputs.num_classes, ignore_index=void)
        maps: Tensor = found.mT.unflatten(2, grid)
        return maps

    return dataclasses.replace(inputs, encode=shares, dim=inputs.num_classes)


def patch_depth(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the logarithm of its depth; 0 where it has none."""

    def depth(split: DenseFeatures) -> DenseFeatures:
        assert split.depth is not None
        return _with_patches(split, split.depth.log()[..., None].nan_to_num())

    return dataclasses.replace(inputs, train=depth(inputs.train), test=depth(inputs.test))


def patch_normals(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its surface normal; 0 where it has none."""

    def normals(split: DenseFeatures) -> DenseFeatures:
        assert split.normals is not None
        return _with_patches(split, split.normals.nan_to_num())

    return dataclasses.replace(inputs, train=normals(inputs.train), test=normals(inputs.test))


def patch_places(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its row and column."""

    def places(split: DenseFeatures) -> DenseFeatures:
        return _with_patches(split, positions(split.grid).expand(len(split.patches), -1, -1))

    return dataclasses.replace(inputs, train=places(inputs.train), test=places(inputs.test))
