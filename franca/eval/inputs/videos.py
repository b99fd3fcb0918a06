"""Videos with masks of tracked objects, in the layout of DAVIS-2017."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from franca.eval.datasets import choose, decode, digest_selection, image_size, opened


@dataclass(frozen=True)
class Sequences:
    """Where the frames of each sequence are among all frames."""

    names: tuple[str, ...]
    starts: tuple[int, ...]


class VideoFrames:
    """All frames of a split, sequence after sequence.

    Args:
        root: folder with JPEGImages/480p/<sequence>/<frame>.jpg,
            Annotations/480p/<sequence>/<frame>.png and ImageSets/2017/<split>.txt.
        split: name of the list.
        limit: use at most so many sequences.

    Raises:
        FileNotFoundError: the list, frames or masks are missing.
        ValueError: the list names no sequence.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        listing = root / "ImageSets" / "2017" / f"{split}.txt"
        expected = "expected the layout of DAVIS-2017"
        if not listing.is_file():
            raise FileNotFoundError(f"{expected}; {listing} does not exist")
        every = listing.read_text(encoding="utf-8").split()
        if not every:
            raise ValueError(f"{listing}: names no sequence")
        self._chosen = choose(len(every), limit)
        names = tuple(every[index] for index in self._chosen)
        self._images: list[Path] = []
        starts = [0]
        for name in names:
            folder = root / "JPEGImages" / "480p" / name
            frames = sorted(folder.glob("*.jpg"))
            if not frames:
                raise FileNotFoundError(f"{expected}; {folder}/<frame>.jpg does not exist")
            self._images += frames
            starts.append(len(self._images))
        self.sequences = Sequences(names, tuple(starts))
        self._masks = [
            root / "Annotations" / "480p" / path.parent.name / f"{path.stem}.png"
            for path in self._images
        ]
        for path in self._masks:
            if not path.is_file():
                raise FileNotFoundError(f"{expected}; {path} does not exist")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of frames, masks and selection."""
        paths: Sequence[Path] = [*self._images, *self._masks]
        named = (("/".join(path.parts[-4:]), path) for path in paths)
        return digest_selection(self._chosen, named)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of a frame in pixels."""
        return image_size(self._images[index])

    def image(self, index: int) -> Image.Image:
        """Return one RGB frame."""
        path = self._images[index]
        return decode(path)

    def masks(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the objects of the pixels of frames `start` to `stop`, as stored.

        Grey masks of 0 and 255 alone are those of DAVIS-2016: 255 is the one object, not void.

        Raises:
            ValueError: the masks of a sequence have several sizes, or are no indexed images.
        """
        maps, modes = [], set()
        for path in self._masks[start:stop]:
            with opened(path, what="mask") as mask:
                if mask.mode not in {"P", "L"}:
                    raise ValueError(f"{path}: expected an indexed PNG of object numbers")
                maps.append(np.array(mask, dtype=np.uint8))
                modes.add(mask.mode)
        if len({one.shape for one in maps}) > 1:
            raise ValueError(f"{self._masks[start].parent}: masks of several sizes")
        objects = np.stack(maps)
        if modes == {"L"} and np.isin(objects, (0, 255)).all():
            return objects // 255
        return objects
