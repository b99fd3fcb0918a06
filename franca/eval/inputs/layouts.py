"""The fine-grained classification sets as their authors lay them out: one row of `LAYOUTS` each.

Splits are the official ones. `train_split`, `val_split` and `test_split` of a set take the names
below; those of `dtd` and `sun397` carry the number of the partition, of which 1 is reported.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image

from franca.eval.datasets import (
    IMAGE_SUFFIXES,
    FolderImages,
    LabelledImages,
    ListedImages,
    ParquetImages,
    choose,
    decode,
    digest_selection,
)
from franca.randomness import numpy_generator

_TRAIN_PER_CLASS: Final = 30  # of Caltech-101 (Fei-Fei et al., 2004)
_SPLIT_SEED: Final = 0  # a split that its authors leave to chance is the same whatever the seed
_CIFAR_SIDE: Final = 32


@dataclass(frozen=True)
class Listing:
    """The images of one split: files with their classes, and the names of all classes."""

    files: Sequence[tuple[Path, int]]
    names: tuple[str, ...]


class LabelledFiles:
    """Image files with their classes, from a listing."""

    def __init__(self, listing: Listing, *, limit: int | None) -> None:
        self.names = listing.names
        self._chosen = choose(len(listing.files), limit)
        self._paths = [listing.files[index][0] for index in self._chosen]
        labels = [listing.files[index][1] for index in self._chosen]
        self.labels: Int[np.ndarray, " images"] = np.array(labels, dtype=np.int64)
        for path in self._paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: listed, but does not exist; restore the file")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of files, classes and selection."""
        pairs = zip(self._paths, self.labels, strict=True)
        named = ((f"{label} {'/'.join(path.parts[-2:])}", path) for path, label in pairs)
        return digest_selection(self._chosen, named)

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._paths[index]
        return decode(path)


class CifarImages:
    """CIFAR-10 or -100 in its binary version: rows of label bytes and 32 x 32 pixels by channel.

    Args:
        files: in order.
        names: of the classes.
        label_bytes: before the pixels; the last of them is the class.
        limit: use at most so many images.

    Raises:
        ValueError: a file is not made of such rows.
    """

    def __init__(
        self, files: Sequence[Path], names: tuple[str, ...], *, label_bytes: int, limit: int | None
    ) -> None:
        row = label_bytes + 3 * _CIFAR_SIDE**2
        self.names = names
        self._files = list(files)
        for path in self._files:
            if path.stat().st_size % row:
                raise ValueError(f"{path}: not rows of {row} bytes; restore the file")
        rows = [np.fromfile(path, dtype=np.uint8).reshape(-1, row) for path in self._files]
        every = np.concatenate(rows)
        self._chosen = choose(len(every), limit)
        self._pixels: NDArray[np.uint8] = every[self._chosen, label_bytes:]
        self.labels: Int[np.ndarray, " images"] = every[self._chosen, label_bytes - 1].astype(int)
        if self.labels.max() >= len(names):
            raise ValueError(f"{self._files[0]}: labels outside the {len(names)} named classes")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and of the selection."""
        return digest_selection(self._chosen, ((path.name, path) for path in self._files))

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        planes = self._pixels[index].reshape(3, _CIFAR_SIDE, _CIFAR_SIDE)
        return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def _matlab(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # here, because it takes a moment that other sets need not wait
    from scipy.io.matlab import MatReadError

    with path.open("rb") as file:
        try:
            return dict(loadmat(file))
        # What a damaged file raises depends on which of its bytes are damaged.
        except (
            MatReadError,
            NotImplementedError,
            LookupError,
            ValueError,
            TypeError,
            OSError,
            zlib.error,
        ) as error:
            raise ValueError(f"{path}: not a readable .mat file ({error}); restore it") from error


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _labelled(rows: Iterable[tuple[Path, str]], names: Iterable[str] | None = None) -> Listing:
    """Number the classes, by name in alphabetical order if they are not given."""
    found = list(rows)
    ordered = tuple(names) if names is not None else tuple(sorted({name for _, name in found}))
    numbers = {name: number for number, name in enumerate(ordered)}
    return Listing([(path, numbers[name]) for path, name in found], ordered)


def _food101(root: Path, split: str) -> Listing:
    names = _lines(root / "meta" / "classes.txt")
    rows = _lines(root / "meta" / f"{split}.txt")
    return _labelled(((root / "images" / f"{r}.jpg", r.split("/")[0]) for r in rows), names)


def _sun397(root: Path, split: str) -> Listing:
    names = [line.strip("/") for line in _lines(root / "ClassName.txt")]
    rows = [line.strip("/") for line in _lines(root / f"{split}.txt")]
    return _labelled(((root / row, row.rpartition("/")[0]) for row in rows), names)


def _cars(root: Path, split: str) -> Listing:
    names = [str(name[0]) for name in _matlab(root / "devkit" / "cars_meta.mat")["class_names"][0]]
    test = split == "test"
    table = root / ("cars_test_annos_withlabels.mat" if test else "devkit/cars_train_annos.mat")
    folder = root / ("cars_test" if test else "cars_train")
    rows = _matlab(table)["annotations"][0]
    files = [(folder / str(row["fname"][0]), int(row["class"][0, 0]) - 1) for row in rows]
    return Listing(files, tuple(names))


def _aircraft(root: Path, split: str) -> Listing:
    data = root / "data"
    rows = (line.split(" ", 1) for line in _lines(data / f"images_variant_{split}.txt"))
    named = [(data / "images" / f"{image}.jpg", variant) for image, variant in rows]
    return _labelled(named, _lines(data / "variants.txt"))


def _dtd(root: Path, split: str) -> Listing:
    rows = _lines(root / "labels" / f"{split}.txt")
    return _labelled((root / "images" / row, row.split("/")[0]) for row in rows)


def _pets(root: Path, split: str) -> Listing:
    rows = [line.split() for line in _lines(root / "annotations" / f"{split}.txt")]
    named = ((root / "images" / f"{row[0]}.jpg", row[0].rpartition("_")[0]) for row in rows)
    return _labelled(named)


def _caltech101(root: Path, split: str) -> Listing:
    """Draw 30 images a class, background included, once for ever; the rest is scored."""
    folder = root / "101_ObjectCategories"
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files: list[tuple[Path, int]] = []
    for label, directory in enumerate(classes):
        images = sorted(p for p in directory.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        order = numpy_generator(_SPLIT_SEED, "evaluate/caltech101", label).permutation(len(images))
        drawn = order[:_TRAIN_PER_CLASS] if split == "train" else order[_TRAIN_PER_CLASS:]
        files += [(images[index], label) for index in sorted(drawn.tolist())]
    return Listing(files, tuple(path.name for path in classes))


def _flowers102(root: Path, split: str) -> Listing:
    labels = _matlab(root / "imagelabels.mat")["labels"][0]
    members = {"train": "trnid", "val": "valid", "test": "tstid"}
    numbers = _matlab(root / "setid.mat")[members[split]][0]
    files = [(root / "jpg" / f"image_{n:05d}.jpg", int(labels[n - 1]) - 1) for n in numbers]
    return Listing(files, tuple(f"class {number}" for number in range(1, int(labels.max()) + 1)))


def _cub200(root: Path, split: str) -> Listing:
    images = dict(line.split() for line in _lines(root / "images.txt"))
    classes = dict(line.split() for line in _lines(root / "image_class_labels.txt"))
    training = dict(line.split() for line in _lines(root / "train_test_split.txt"))
    names = [line.split()[1] for line in _lines(root / "classes.txt")]
    wanted = "1" if split == "train" else "0"
    return Listing(
        [
            (root / "images" / path, int(classes[number]) - 1)
            for number, path in images.items()
            if training[number] == wanted
        ],
        tuple(names),
    )


@dataclass(frozen=True)
class Layout:
    """How to list a set, and how to say it to a person."""

    read: Callable[[Path, str], Listing]
    splits: str
    expected: str


LAYOUTS: Final[Mapping[str, Layout]] = {
    "food101": Layout(_food101, "train|test", "meta/{classes,train,test}.txt and images/<class>/"),
    "sun397": Layout(
        _sun397, r"(Training|Testing)_\d\d", "ClassName.txt, Training_01.txt and a/abbey/…"
    ),
    "cars": Layout(
        _cars,
        "train|test",
        "devkit/{cars_meta,cars_train_annos}.mat, cars_test_annos_withlabels.mat, cars_train/, "
        "cars_test/",
    ),
    "aircraft": Layout(
        _aircraft,
        "train|val|trainval|test",
        "data/variants.txt, data/images_variant_{train,val,test}.txt and data/images/",
    ),
    "dtd": Layout(_dtd, r"(train|val|test)\d+", "labels/{train,val,test}1.txt and images/<class>/"),
    "pets": Layout(_pets, "trainval|test", "annotations/{trainval,test}.txt and images/"),
    "caltech101": Layout(_caltech101, "train|test", "101_ObjectCategories/<class>/"),
    "flowers102": Layout(
        _flowers102, "train|val|test", "imagelabels.mat, setid.mat and jpg/image_00001.jpg, …"
    ),
    "cub200": Layout(
        _cub200,
        "train|test",
        "images.txt, classes.txt, image_class_labels.txt, train_test_split.txt and images/",
    ),
}
_CIFAR: Final[Mapping[str, tuple[int, str, Mapping[str, Sequence[str]]]]] = {
    "cifar10": (
        1,
        "batches.meta.txt",
        {
            "train": [f"data_batch_{number}.bin" for number in range(1, 6)],
            "test": ["test_batch.bin"],
        },
    ),
    "cifar100": (2, "fine_label_names.txt", {"train": ["train.bin"], "test": ["test.bin"]}),
}


_PLAIN: Final[Mapping[str, type[ParquetImages] | type[FolderImages] | type[ListedImages]]] = {
    "parquet": ParquetImages,
    "folder": FolderImages,
    "openood": ListedImages,
}


def open_labelled(layout: str, root: Path, *, split: str, limit: int | None) -> LabelledImages:
    """Open a split of a classification set, or novel images, by the name of their layout.

    Raises:
        FileNotFoundError: a file that the layout needs is not there.
        ValueError: no such layout or split, or a file does not hold what it should.
    """
    if layout in _PLAIN:
        return _PLAIN[layout](root, split=split, limit=limit)
    if layout in _CIFAR:
        return _open_cifar(layout, root, split=split, limit=limit)
    if layout not in LAYOUTS:
        known = sorted({*_PLAIN, *_CIFAR, *LAYOUTS})
        raise ValueError(f"layout {layout!r} is not a classification layout: use {known}")
    return LabelledFiles(_listing(layout, root, split), limit=limit)


def _listing(layout: str, root: Path, split: str) -> Listing:
    found = LAYOUTS[layout]
    expected = f"expected {layout} in {root}: {found.expected}"
    if not re.fullmatch(found.splits, split):
        raise ValueError(f"{layout} has no split {split!r}: use one of {found.splits}")
    try:
        listing = found.read(root, split)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{expected}; {error.filename} does not exist") from error
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{expected}; its lists do not fit: {error!r}") from error
    if not listing.files:
        raise ValueError(f"{expected}; found no image of the split {split!r}")
    return listing


def _open_cifar(layout: str, root: Path, *, split: str, limit: int | None) -> CifarImages:
    label_bytes, names, splits = _CIFAR[layout]
    if split not in splits:
        raise ValueError(f"{layout} has no split {split!r}: use one of {sorted(splits)}")
    files = [root / name for name in splits[split]]
    for path in (root / names, *files):
        if not path.is_file():
            raise FileNotFoundError(
                f"expected the binary version of {layout} in {root}: {names} and "
                f"{', '.join(splits[split])}; {path} does not exist"
            )
    return CifarImages(files, tuple(_lines(root / names)), label_bytes=label_bytes, limit=limit)
