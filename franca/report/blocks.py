"""What a page is made of: blocks without layout, which the templates turn into HTML and Markdown.

Text fields may hold `code` and **bold**; everything else is escaped.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Tone = Literal["", "better", "worse", "quiet", "strong"]


@dataclass(frozen=True, kw_only=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Says in words that something is not there, and why."""

    kind: ClassVar[str] = "missing"
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure: `svg` goes into the page, `figures/<name>.png` beside it."""

    kind: ClassVar[str] = "plot"
    name: str
    alt: str
    caption: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table; `note` is a second, quieter line."""

    text: str
    tone: Tone = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The heading of a table's column; numbers are set flush right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column heads each row."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), (len(row), len(self.columns), self.caption)


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small encoded picture."""

    data: bytes
    media_type: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Pictures in running order; `figures/<name>.png` holds all of them on one sheet."""

    kind: ClassVar[str] = "gallery"
    name: str
    caption: str
    thumbnails: tuple[Thumbnail, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Pictures in rows under column headings; `figures/<name>.png` holds all on one sheet.

    `pixelated` keeps the edges of enlarged patches sharp.
    """

    kind: ClassVar[str] = "grid"
    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Thumbnail, ...], ...]
    pixelated: bool = False


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Preformatted text."""

    kind: ClassVar[str] = "listing"
    text: str


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Blocks behind a title that opens them."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: "tuple[Block, ...]"


Block = Prose | Missing | Plot | Table | Gallery | Grid | Listing | Fold


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter of the page; `slug` is its anchor."""

    slug: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything the templates need; `facts` are the (name, value) pairs under the title."""

    title: str
    subtitle: str
    abstract: str
    facts: tuple[tuple[str, str], ...] = field(default=())
    sections: tuple[Section, ...] = field(default=())
