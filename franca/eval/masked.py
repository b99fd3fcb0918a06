"""Images with masks of classes on disk, in the PASCAL VOC layout or one given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from franca.eval.crops import Picture
from franca.eval.datasets import choose, decode, digest_selection


def indexed_mask(path: Path) -> NDArray[np.uint8]:
    """Return the classes of the pixels, the numbers that an indexed or grey image holds.

    Raises:
        ValueError: the file is no such image.
    """
    try:
        with Image.open(path) as mask:
            if mask.mode not in {"P", "L"}:
                raise ValueError(f"{path}: expected an indexed or grey PNG of class numbers")
            return np.array(mask, dtype=np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: not a readable mask ({error}); restore the file") from error


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

    Raises:
        FileNotFoundError: a list, an image or a mask is missing.
        ValueError: the split has no image.
    """

    def __init__(
        self,
        root: Path,
        *,
        split: str,
        limit: int | None,
        layout: MaskLayout = VOC,
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

    def _present(self, path: Path) -> Path:
        if not path.is_file():
            raise FileNotFoundError(f"{self._expected}; {path} does not exist")
        return path

    def check_classes(self, expected: int | None) -> None:
        """Compare the number of classes with classes.txt, if the set has one.

        Raises:
            ValueError: they differ.
        """
        listing = self._root / "classes.txt"
        if not listing.is_file():
            return
        listed = len(listing.read_text(encoding="utf-8").splitlines())
        if listed != expected:
            raise ValueError(f"{listing}: lists {listed} classes but num_classes is {expected}")

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
        return decode(path, where=str(path))

    def mask(self, index: int, *, side: int) -> NDArray[np.uint8]:
        """Return the classes of the pixels, resized (nearest) to [side, side]."""
        mask = Image.fromarray(self.full_mask(index))
        return np.array(mask.resize((side, side), Image.Resampling.NEAREST))

    def full_mask(self, index: int) -> NDArray[np.uint8]:
        """Return the classes of the pixels at the size of the stored mask."""
        return self._listed.classes(self._masks[index])

    def picture(self, index: int) -> Picture:
        """Return one image with its mask.

        Raises:
            ValueError: they differ in size.
        """
        picture = Picture(self.image(index), self.full_mask(index))
        height, width = picture.mask.shape
        if picture.image.size != (width, height):
            raise ValueError(
                f"{self._masks[index]}: {height}x{width} pixels, but its image has "
                f"{picture.image.height}x{picture.image.width}"
            )
        return picture

    def depth(self, index: int) -> NDArray[np.float32]:
        """Return the depth in metres, [height, width]; invalid where not finite or not positive."""
        return self._geometry("Depth", index)

    def normals(self, index: int) -> NDArray[np.float32]:
        """Return camera-frame normals, [height, width, 3]; invalid where not finite or zero."""
        return self._geometry("Normals", index)

    def _geometry_file(self, folder: str, index: int) -> Path:
        return self._present(self._root / folder / f"{self.image_names[index]}.npy")

    def _geometry(self, folder: str, index: int) -> NDArray[np.float32]:
        path = self._geometry_file(folder, index)
        return cast("NDArray[np.float32]", np.load(path, allow_pickle=False).astype(np.float32))
