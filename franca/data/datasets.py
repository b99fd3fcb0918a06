"""Data sets to train on: folders of shards, folders of image files, and mixtures of both.

All answer the same two questions, how many images and where number `i` lies, so that mixing them is
arithmetic on numbers and the workers need not know what a data set is.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

from franca.data.shards import Location, ShardDataset

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@runtime_checkable
class ImageSource(Protocol):
    """What the loader asks of a data set."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def locate(self, sample: int) -> Location:
        """Return where image number `sample` lies."""
        ...


class ImageFolder:
    """Every image file below a folder, in the order of their relative paths.

    The files are the user's own (ImageNet-1k, COCO, VOC): no hash is on record to check them.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: no such folder of images; unpack the data set there")
        self.root = root
        self._keys = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES
        )
        if not self._keys:
            raise FileNotFoundError(f"{root}: no image files; unpack the data set there")

    def __len__(self) -> int:
        return len(self._keys)

    def locate(self, sample: int) -> Location:
        """Return where image number `sample` lies."""
        return Location(key=self._keys[sample], path=self.root / self._keys[sample])


def open_images(root: Path) -> ImageSource:
    """Open a folder of packed shards, known by its index, or else a folder of image files.

    Raises:
        FileNotFoundError: no such folder, or neither index nor images in it.
        DamagedShardError: the shards are not what their index says.
    """
    if (root / "index.parquet").is_file() or any(root.glob("shard-*.tar")):
        return ShardDataset(root)
    return ImageFolder(root)


@dataclass(frozen=True, kw_only=True)
class MixtureEntry:
    """One member of a mixture.

    Attributes:
        name: prefix of its keys, so that keys stay unique.
        source: its images.
        repeats: how often each image comes in an epoch.
        expected_images: the number of images the recipe names; None to accept any.
    """

    name: str
    source: ImageSource
    repeats: int = 1
    expected_images: int | None = None


class Mixture:
    """Several data sets as one; an epoch holds each image of a member `repeats` times.

    The paper's high-resolution mixture (1,444,270 images) is ImageNet-1k train 1,281,167, ADE20K
    train 20,210, COCO train2017 118,287, VOC2012 17,125 and KITTI object train 7,481, each once.

    Raises:
        ValueError: no members, two of one name, or a count that is not the recipe's.
    """

    def __init__(self, entries: Sequence[MixtureEntry]) -> None:
        if not entries:
            raise ValueError("a mixture needs at least one data set")
        names = [entry.name for entry in entries]
        if len(set(names)) != len(names):
            raise ValueError(f"names of a mixture must differ, got {names}")
        for entry in entries:
            if entry.expected_images not in (None, len(entry.source)):
                raise ValueError(
                    f"{entry.name} has {len(entry.source)} images, the recipe says "
                    f"{entry.expected_images}; complete the data set or correct the recipe"
                )
        self._entries = tuple(entries)
        self._ends = list(accumulate(len(entry.source) * entry.repeats for entry in entries))

    def __len__(self) -> int:
        return self._ends[-1]

    def locate(self, sample: int) -> Location:
        """Return where image number `sample` lies, its key prefixed with the member's name."""
        member = bisect_right(self._ends, sample)
        entry = self._entries[member]
        start = self._ends[member - 1] if member else 0
        found = entry.source.locate((sample - start) % len(entry.source))
        return Location(
            key=f"{entry.name}/{found.key}",
            path=found.path,
            offset=found.offset,
            size=found.size,
            sha256=found.sha256,
        )
