"""Image files in a folder, at any depth."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from data_filters.io.files import list_files, open_binary
from data_filters.sources.image import SourceImage

IMAGES_PER_PART: Final = 1_000_000
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
"""What is listed. Formats that cannot be trained on are listed too, and dropped with a reason."""

LAYOUT: Final = "image files, optionally in one subfolder per class, at any depth"


class FolderReader:
    """List and read a folder.

    Args:
        root: Local path or fsspec URL.
        class_subfolders: Whether the parent folder's name is the caption.
        key: Parameter to name in errors.

    Raises:
        FileNotFoundError: No images there.
        ValueError: Classes are asked for, and there are no subfolders.
    """

    def __init__(self, *, root: str, class_subfolders: bool, key: str) -> None:
        self._root, self._class_subfolders = root, class_subfolders
        names = list_files(root, "**/*", key=f"{key}.root", layout=LAYOUT)
        self._names = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
        if not self._names:
            raise FileNotFoundError(
                f"{key}.root: none of the {len(names)} files in {root!r} is an image; "
                f"expected {LAYOUT}"
            )
        if class_subfolders and not any("/" in name for name in self._names):
            raise ValueError(
                f"{key}.class_subfolders: all of the {len(self._names)} images lie in {root!r} "
                "itself, none in a subfolder that could name its class; set it to false"
            )

    def num_parts(self) -> int:
        """Count the parts of up to `IMAGES_PER_PART` images."""
        return -(-len(self._names) // IMAGES_PER_PART)

    def images(self, part: int, *, with_data: bool) -> Iterator[SourceImage]:
        """Yield the images of a part in name order."""
        start = part * IMAGES_PER_PART
        for name in self._names[start : start + IMAGES_PER_PART]:
            parent = PurePosixPath(name).parent.name
            caption = parent if self._class_subfolders and parent else None
            yield SourceImage(name, caption, self._read(name) if with_data else None)

    def _read(self, name: str) -> bytes:
        with open_binary(self._root, name) as file:
            return file.read()
