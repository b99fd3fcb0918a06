"""One image of a local collection."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class SourceImage(NamedTuple):
    """An image as the source holds it.

    Attributes:
        path: Where it lies, relative to the root; unique in the source.
        caption: Text or class name; None where there is none.
        data: Its bytes; None when they were not asked for, or when there is a problem.
        problem: One word for what is wrong with its place in the source, else None.
    """

    path: str
    caption: str | None
    data: bytes | None
    problem: str | None = None


class LocalReader(Protocol):
    """Lists and reads a collection in parts; the place in a part is the `row` of the metadata."""

    def num_parts(self) -> int:
        """Count the parts."""

    def images(self, part: int, *, with_data: bool) -> Iterator[SourceImage]:
        """Yield the images of a part, always in the same order, with or without their bytes."""
