"""Images with depth, and surface normals where they are known, in PASCAL VOC's folders."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from franca.eval.datasets import (
    IMAGE_SUFFIXES,
    choose,
    decode,
    digest_selection,
    image_size,
    read_array,
)
from franca.eval.geometry import Geometry


class GeometryImages:
    """One split of a set with geometry in PASCAL VOC's folders.

        JPEGImages/<name>.jpg, .jpeg or .png
        Depth/<name>.npy                     metres [height, width]; 0 or not finite is unknown
        Normals/<name>.npy                   [height, width, 3], camera frame; if known
        ImageSets/Segmentation/<split>.txt   names

    A name may have a folder, kitchen_0004/000012: images of one folder are of one scene, and only
    scenes count as independent. A name without one is a scene of its own.

    Args:
        root: folder with the above.
        split: name of the list.
        limit: use at most so many images.

    Raises:
        FileNotFoundError: the list, an image or its geometry is missing.
        ValueError: the list names no image.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        self._root = root
        listing = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        if not listing.is_file():
            raise FileNotFoundError(
                f"expected JPEGImages, Depth, Normals and ImageSets; {listing} does not exist"
            )
        names = listing.read_text(encoding="utf-8").split()
        if not names:
            raise ValueError(f"{listing}: names no image")
        self._chosen = choose(len(names), limit)
        self._names = [names[index] for index in self._chosen]
        self._images = [self._file("JPEGImages", name, *IMAGE_SUFFIXES) for name in self._names]
        self._depth = [self._file("Depth", name, ".npy") for name in self._names]
        known = (root / "Normals").is_dir()
        self._normals = [self._file("Normals", name, ".npy") for name in self._names if known]

    def _file(self, folder: str, name: str, *suffixes: str) -> Path:
        paths = [self._root / folder / (name + suffix) for suffix in suffixes]
        for path in paths:
            if path.is_file():
                return path
        raise FileNotFoundError(
            f"{self._root / folder / name}: no such file ({', '.join(sorted(suffixes))})"
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """The scene of each image."""
        return tuple(name.rpartition("/")[0] or name for name in self._names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, geometry and selection."""
        paths = [*self._images, *self._depth, *self._normals]
        named = ((str(path.relative_to(self._root)), path) for path in paths)
        return digest_selection(self._chosen, named)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self._sizes[index]

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        return [image_size(path) for path in self._images]

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._images[index]
        return decode(path)

    def geometry(self, index: int) -> Geometry:
        """Return depth and normals of one image.

        Raises:
            ValueError: they are not of the image's size.
        """
        size = self.size(index)
        depth = self._array(self._depth[index], size)
        depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
        normals = None
        if self._normals:
            found = self._array(self._normals[index], (*size, 3))
            found = np.where(np.isfinite(found).all(-1, keepdims=True), found, 0)
            normals = torch.from_numpy(found).permute(2, 0, 1).contiguous()
        return Geometry(depth=torch.from_numpy(depth), normals=normals)

    @staticmethod
    def _array(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = read_array(path)
        if array.shape != shape:
            raise ValueError(f"{path}: shape {array.shape}, but the image's is {shape}")
        return array
