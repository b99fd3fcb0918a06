"""Labelled images on disk: Hugging Face parquet, ImageNet folders and lists of OpenOOD.

A set that is missing or laid out differently stops the evaluation with one line that says what was
expected and where it was looked for. So does an unreadable image: a score over fewer images than
the protocol's is another number.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image

from franca.randomness import numpy_generator

IMAGE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp"})
_SUBSET_SEED = 0  # a limited set is the same set whatever the seed of the run


@runtime_checkable
class ImageSet(Protocol):
    """Images in a fixed order, with a digest of everything that they and their labels are."""

    @property
    def digest(self) -> str:
        """SHA-256 of content, labels and selection."""

    def __len__(self) -> int:
        """Return the number of images."""

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""


@runtime_checkable
class LabelledImages(ImageSet, Protocol):
    """An `ImageSet` with one class per image."""

    @property
    def labels(self) -> Int[np.ndarray, " images"]:
        """The class of each image."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""


@contextmanager
def opened(
    source: Path | io.BytesIO, *, where: str | None = None, what: str = "image"
) -> Iterator[Image.Image]:
    """Open an image; it may be decoded while this lasts.

    Args:
        source: a file, or what it holds.
        where: the file's name, if it is another.
        what: what it is to people.

    Raises:
        ValueError: the bytes are no image.
    """
    try:
        with Image.open(source) as image:
            yield image
    except (OSError, SyntaxError) as error:  # Pillow's words for a broken PNG
        raise ValueError(
            f"{where or source}: not a readable {what} ({error}); restore the file"
        ) from error


def decode(source: Path | io.BytesIO, *, where: str | None = None) -> Image.Image:
    """Decode an image to RGB; arguments and errors as of `opened`."""
    with opened(source, where=where) as image:
        return image.convert("RGB")


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width in pixels without decoding; errors as of `opened`."""
    with opened(path) as image:
        return image.height, image.width


def read_array(path: Path) -> NDArray[np.float32]:
    """Read numbers from a .npy file.

    Raises:
        ValueError: it holds no such array.
    """
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not a readable array ({error}); restore the file") from error


def choose(total: int, limit: int | None) -> Int[np.ndarray, " chosen"]:
    """Return the indices of at most `limit` items, drawn once for ever, in ascending order."""
    if limit is None or limit >= total:
        return np.arange(total)
    drawn = numpy_generator(_SUBSET_SEED, "evaluate/subset").permutation(total)[:limit]
    return np.sort(drawn)


def digest_selection(chosen: NDArray[Any], paths: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 of which items were chosen and of the content of their files."""
    whole = hashlib.sha256(chosen.astype("<i8").tobytes())
    for name, path in paths:
        state = path.stat()
        content = _file_digest(path, state.st_size, state.st_mtime_ns)
        whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()


@cache
def _file_digest(path: Path, size: int, modified: int) -> str:
    """Return the SHA-256 of a file, read again only when its size or time has changed."""
    del size, modified
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ParquetImages:
    """One split of a Hugging Face image classification set.

    Args:
        root: folder with `<split>-00000-of-0000N.parquet`, columns `image{bytes, path}` and
            `label`, whose ClassLabel names are in the schema's metadata.
        split: beginning of the file names.
        limit: use at most so many images.

    Raises:
        FileNotFoundError: no such files.
        ValueError: columns or metadata differ, or an image has no label.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        self._paths = sorted(root.glob(f"{split}-*.parquet"))
        expected = f"expected {root}/{split}-*.parquet with columns image{{bytes, path}} and label"
        if not self._paths:
            raise FileNotFoundError(f"{expected}; there is no such file")
        self._groups = [
            (path, group)
            for path in self._paths
            for group in range(pq.ParquetFile(path).metadata.num_row_groups)
        ]
        try:
            columns = [pq.read_table(path, columns=["label"])["label"] for path in self._paths]
            schema = pq.read_schema(self._paths[0])
            features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
            names = features["label"]["names"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{expected} and ClassLabel names in its Hugging Face metadata: {error!r}"
            ) from error
        self.names: tuple[str, ...] = tuple(names)
        every = np.concatenate([column.to_numpy() for column in columns])
        self._chosen = choose(len(every), limit)
        self.labels: Int[np.ndarray, " images"] = every[self._chosen].astype(np.int64)
        if self.labels.min() < 0 or self.labels.max() >= len(self.names):
            raise ValueError(
                f"{self._paths[0]}: labels outside the {len(self.names)} named classes"
            )
        sizes = [pq.ParquetFile(p).metadata.row_group(g).num_rows for p, g in self._groups]
        self._starts = np.cumsum([0, *sizes])
        self._open_group: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._chosen)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and of the selection."""
        return digest_selection(self._chosen, ((path.name, path) for path in self._paths))

    def image(self, index: int) -> Image.Image:
        """Return one RGB image; reading in order touches each row group once."""
        row = int(self._chosen[index])
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if self._open_group[0] != group:
            path, number = self._groups[group]
            table = pq.ParquetFile(path).read_row_group(number, columns=["image"])
            self._open_group = (group, table["image"])
        cell = self._open_group[1][row - int(self._starts[group])].as_py()
        return decode(io.BytesIO(cell["bytes"]), where=f"{self._groups[group][0]}, row {row}")


class FolderImages:
    """One split of a set in ImageNet's layout, `<root>/<split>/<class>/<image>`.

    Classes are sorted by name, or by number if all names are numbers (ImageNet-V2).

    Raises:
        FileNotFoundError: no such folders.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        folder = root / split
        found = [path for path in folder.glob("*") if path.is_dir()]
        numeric = all(path.name.isdigit() for path in found)
        classes = sorted(found, key=lambda path: (int(path.name) if numeric else 0, path.name))
        files = [
            (path, label)
            for label, directory in enumerate(classes)
            for path in sorted(directory.iterdir())
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not files:
            raise FileNotFoundError(f"expected images as {folder}/<class>/<image>; found none")
        self.names: tuple[str, ...] = tuple(path.name for path in classes)
        self._chosen = choose(len(files), limit)
        self._paths = [files[index][0] for index in self._chosen]
        self.every_file = [path.name for path, _ in files]
        self.labels: Int[np.ndarray, " images"] = np.array([files[i][1] for i in self._chosen])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    @property
    def files(self) -> list[str]:
        """The names of the images' files; `every_file` has those of the whole split."""
        return [path.name for path in self._paths]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and of the selection."""
        names = (f"{path.parent.name}/{path.name}" for path in self._paths)
        return digest_selection(self._chosen, zip(names, self._paths, strict=True))

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._paths[index]
        return decode(path)


class ListedImages:
    """One list of OpenOOD v1.5: novel images, whose labels say no more than that.

    Args:
        root: folder with benchmark_imglist/imagenet/test_<split>.txt, whose lines are "path label",
            and the images at that path below images_largescale/ or images_classic/.
        split: of the name of the list: ssb_hard, ninco, inaturalist, textures, openimage_o; or
            val_openimage_o for the validation images.
        limit: use at most so many images.

    Raises:
        FileNotFoundError: the list or an image is missing.
        ValueError: the list names no image.
    """

    names: tuple[str, ...] = ("novel",)

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        name = split if split.startswith("val_") else f"test_{split}"
        listing = root / "benchmark_imglist" / "imagenet" / f"{name}.txt"
        if not listing.is_file():
            raise FileNotFoundError(f"expected the layout of OpenOOD; {listing} does not exist")
        lines = listing.read_text(encoding="utf-8").splitlines()
        places = [line.rsplit(maxsplit=1)[0] for line in lines if line.strip()]
        if not places:
            raise ValueError(f"{listing}: names no image")
        self._chosen = choose(len(places), limit)
        self._places = [places[index] for index in self._chosen]
        self._paths = [self._find(root, place) for place in self._places]
        self.labels: Int[np.ndarray, " images"] = np.zeros(len(self._paths), dtype=np.int64)

    @staticmethod
    def _find(root: Path, place: str) -> Path:
        paths = [root / folder / place for folder in ("images_largescale", "images_classic")]
        for path in paths:
            if path.is_file():
                return path
        raise FileNotFoundError(f"expected the layout of OpenOOD; {paths[0]} does not exist")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and of the selection."""
        return digest_selection(self._chosen, zip(self._places, self._paths, strict=True))

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._paths[index]
        return decode(path)
