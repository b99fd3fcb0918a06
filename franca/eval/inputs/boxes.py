"""Images with boxes of their objects: from VOC's XML annotations or from masks of instances."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from franca.eval.datasets import choose, decode, digest_selection, image_size, opened

VOID = 255
Boxes = NDArray[np.float64]  # [objects, 4]: x0, y0, x1, y1, the end exclusive


def boxes_of_xml(path: Path) -> Boxes:
    """Return the boxes of a VOC annotation, difficult and truncated objects too (LOST, TokenCut).

    VOC counts pixels from 1 and includes the last one: only the first corner moves.

    Raises:
        ValueError: the file is no VOC annotation.
    """
    try:
        corners = [
            [float(box.findtext(name, "")) for name in ("xmin", "ymin", "xmax", "ymax")]
            for box in ET.parse(path).getroot().findall("object/bndbox")  # noqa: S314, a local file
        ]
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"{path}: not a PASCAL VOC annotation ({error})") from error
    boxes = np.array(corners, dtype=np.float64).reshape(-1, 4)
    boxes[:, :2] -= 1
    return boxes


def boxes_of_mask(path: Path) -> Boxes:
    """Return the box of every instance of an indexed mask: 0 is background, 255 void."""
    with opened(path, what="mask") as mask:
        ids = np.array(mask, dtype=np.uint8)
    boxes = []
    for instance in np.unique(ids[(ids != 0) & (ids != VOID)]):
        rows, columns = np.nonzero(ids == instance)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


class BoxedImages:
    """One split of a set in the PASCAL VOC layout with the boxes of its objects.

    A detection split, ImageSets/Main/<split>.txt, has its boxes in Annotations/<name>.xml; a
    segmentation split, ImageSets/Segmentation/<split>.txt, in SegmentationObject/<name>.png.

    Args:
        root: folder with JPEGImages and the above.
        split: name of the list.
        detection: whether it is a detection split.
        limit: use at most so many images.

    Raises:
        FileNotFoundError: the list, an image or an annotation is missing.
        ValueError: the list names no image.
    """

    def __init__(self, root: Path, *, split: str, detection: bool, limit: int | None) -> None:
        self._root = root
        listing = root / "ImageSets" / ("Main" if detection else "Segmentation") / f"{split}.txt"
        if not listing.is_file():
            raise FileNotFoundError(f"expected the PASCAL VOC layout; {listing} does not exist")
        lines = listing.read_text(encoding="utf-8").splitlines()
        names = [line.split()[0] for line in lines if line.strip()]
        if not names:
            raise ValueError(f"{listing}: names no image")
        self._chosen = choose(len(names), limit)
        self.names = [names[index] for index in self._chosen]
        self._images = [
            self._file("JPEGImages", name, ".jpg", ".png", ".jpeg") for name in self.names
        ]
        folder, suffix = ("Annotations", ".xml") if detection else ("SegmentationObject", ".png")
        self._annotations = [self._file(folder, name, suffix) for name in self.names]
        self._read: Callable[[Path], Boxes] = boxes_of_xml if detection else boxes_of_mask

    def _file(self, folder: str, name: str, *suffixes: str) -> Path:
        paths = [self._root / folder / (name + suffix) for suffix in suffixes]
        for path in paths:
            if path.is_file():
                return path
        raise FileNotFoundError(f"expected the PASCAL VOC layout; {paths[0]} does not exist")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, annotations and selection."""
        paths = [*self._images, *self._annotations]
        named = ((f"{path.parent.name}/{path.name}", path) for path in paths)
        return digest_selection(self._chosen, named)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels."""
        return image_size(self._images[index])

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._images[index]
        return decode(path)

    def boxes(self, index: int) -> Boxes:
        """Return the boxes of the objects of one image; [0, 4] where there are none."""
        return self._read(self._annotations[index])
