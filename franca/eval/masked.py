"""Images with masks of classes on disk, in the PASCAL VOC layout or one given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from franca.eval.crops import Picture
from franca.eval.datasets import choose, decode, digest_selection, image_size, opened, read_array


def indexed_mask(path: Path) -> NDArray[np.uint8]:
    """Return the classes of the pixels, the numbers that an indexed or grey image holds.

    Raises:
        ValueError: the file is no such image.
    """
    with opened(path, what="mask") as mask:
        if mask.mode not in {"P", "L"}:
            raise ValueError(f"{path}: expected an indexed or grey PNG of class numbers")
        return np.array(mask, dtype=np.uint8)


@dataclass(frozen=True)
class Masked:
    """The images of one split with their masks, however they lie.

    Attributes:
        files: name, image and mask of each.
        classes: reads the classes of the pixels from a mask's file.
        rule: name of that reading where the file does not hold the classes themselves.
    """

    files: Sequence[tuple[str, Path, Path]]
    classes: Callable[[Path], NDArray[np.uint8]] = indexed_mask
    rule: str = ""


def voc_masks(root: Path, split: str) -> Masked:
    """List JPEGImages/<name>.jpg and SegmentationClass/<name>.png by the names in VOC's lists."""
    listing = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    names = listing.read_text(encoding="utf-8").split()

    def image(name: str) -> Path:
        paths = [root / "JPEGImages" / (name + suffix) for suffix in (".png", ".jpeg", ".jpg")]
        return next((path for path in paths if path.is_file()), paths[-1])

    masks = root / "SegmentationClass"
    files = [(name, image(name), masks / f"{name}.png") for name in names]
    return Masked(files)


@dataclass(frozen=True)
class MaskLayout:
    """How to list the masked images of a split, and how to say it to a person."""

    masks: Callable[[Path, str], Masked]
    expected: str


VOC = MaskLayout(voc_masks, "the PASCAL VOC layout")


class SegmentationImages:
    """One split of a set with masks, with optional geometry.

    Args:
        root: of the layout; in that of PASCAL VOC also, if known, Depth/<name>.npy (metres) and
            Normals/<name>.npy (height x width x 3, camera frame).
        split: name of the part.
        limit: use at most so many images.
        layout: lists a split; `franca.eval.inputs.masks` has others than PASCAL VOC's.
        num_classes: masks that hold others are refused; None: any are taken.
        ignore_index: the class of void pixels.

    Raises:
        FileNotFoundError: a list, an image or a mask is missing.
        ValueError: the split has no image, or classes.txt lists another number of classes.
    """

    def __init__(
        self,
        root: Path,
        *,
        split: str,
        limit: int | None,
        layout: MaskLayout = VOC,
        num_classes: int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        self._root = root
        self._expected = f"expected {layout.expected}"
        try:
            self._listed = layout.masks(root, split)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._expected}; {error.filename} does not exist") from error
        every = self._listed.files
        if not every:
            raise ValueError(f"{self._expected}; {root}: the split {split!r} names no image")
        self.of_split = len(every)  # whatever the limit
        self._chosen = choose(len(every), limit)
        kept = [every[index] for index in self._chosen]
        self.image_names = [name for name, _, _ in kept]
        self._images = [self._present(image) for _, image, _ in kept]
        self._masks = [self._present(mask) for _, _, mask in kept]
        self.has_depth = (root / "Depth").is_dir()
        self.has_normals = (root / "Normals").is_dir()
        self._num_classes, self._ignore_index = num_classes, ignore_index
        names = root / "classes.txt"
        if num_classes is not None and names.is_file():
            listed = len(names.read_text(encoding="utf-8").splitlines())
            if listed != num_classes:
                raise ValueError(
                    f"{names}: lists {listed} classes but num_classes is {num_classes}"
                )

    def _present(self, path: Path) -> Path:
        if not path.is_file():
            raise FileNotFoundError(f"{self._expected}; {path} does not exist")
        return path

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, masks, geometry, selection and rule of reading masks."""
        geometry = [("Depth", self.has_depth), ("Normals", self.has_normals)]
        folders = [folder for folder, present in geometry if present]
        paths = [*self._images, *self._masks]
        paths += [self._geometry_file(folder, index) for folder in folders for index in self._rows]
        rule = self._listed.rule
        named = ((f"{rule}{path.parent.name}/{path.name}", path) for path in paths)
        return digest_selection(self._chosen, named)

    @property
    def _rows(self) -> range:
        return range(len(self._images))

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._images[index]
        return decode(path)

    def mask(self, index: int, *, side: int) -> NDArray[np.uint8]:
        """Return the classes of the pixels, resized (nearest) to [side, side]."""
        mask = Image.fromarray(self.full_mask(index))
        return np.array(mask.resize((side, side), Image.Resampling.NEAREST))

    def full_mask(self, index: int) -> NDArray[np.uint8]:
        """Return the classes of the pixels at the size of the stored mask.

        Raises:
            ValueError: it is not of its image's size, or holds a class that the set does not have.
        """
        path, mask = self._masks[index], self._listed.classes(self._masks[index])
        size = image_size(self._images[index])
        if mask.shape != size:
            raise ValueError(f"{path}: {mask.shape} pixels, but its image has {size}: restore both")
        known = mask if self._ignore_index is None else mask[mask != self._ignore_index]
        if self._num_classes is not None and known.max(initial=0) >= self._num_classes:
            raise ValueError(
                f"{path}: holds class {known.max()} but there are {self._num_classes} classes "
                f"(void: {self._ignore_index}): correct num_classes or ignore_index of the set"
            )
        return mask

    def picture(self, index: int) -> Picture:
        """Return one image with its mask; errors as of `full_mask`."""
        return Picture(self.image(index), self.full_mask(index))

    def depth(self, index: int) -> NDArray[np.float32]:
        """Return the depth in metres, [height, width]; invalid where not finite or not positive."""
        return self._geometry("Depth", index)

    def normals(self, index: int) -> NDArray[np.float32]:
        """Return camera-frame normals, [height, width, 3]; invalid where not finite or zero."""
        return self._geometry("Normals", index)

    def _geometry_file(self, folder: str, index: int) -> Path:
        return self._present(self._root / folder / f"{self.image_names[index]}.npy")

    def _geometry(self, folder: str, index: int) -> NDArray[np.float32]:
        return read_array(self._geometry_file(folder, index))
