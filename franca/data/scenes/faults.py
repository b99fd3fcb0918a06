"""What goes wrong on the web, planted: dead links, broken bytes, copies, leaks, unfit rows.

Three kinds of truth come out: bytes that the origin serves as they are, paths at which its server
must misbehave, and a list of what was planted for the tests to find again.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from franca.data.scenes.layouts import encode
from franca.data.scenes.metadata import Row, image_url, md5

# A row of each of these names no image of ours; nothing may ever fetch them.
FORBIDDEN_URLS = (
    "file:///etc/hostname",
    "http://10.0.0.7/private.jpg",
    "ftp://files.example.org/photo.jpg",
    "http://169.254.169.254/latest/meta-data/photo.jpg",
    "data:image/png;base64,iVBORw0KGgo=",
)
HTML = b"<!DOCTYPE html><html><head><title>Not here</title></head><body>Moved.</body></html>\n"
# Pillow refuses to open images of more than 179 million pixels.
BOMB_SIDE = 13_500
OVERSIZE = 8.0


@dataclass(frozen=True)
class Original:
    """An image that exists: where it is known from, its bytes and its caption."""

    name: str
    content: bytes
    caption: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        with Image.open(io.BytesIO(self.content)) as image:
            return image.size


@dataclass
class Origin:
    """What the loopback origin holds, filled plant by plant.

    Attributes:
        rows: rows of the metadata table.
        files: served bytes by file name.
        faults: what the server must do at a path instead of serving its file.
        planted: kind -> what was planted: `url`, and `of`, what it copies.
    """

    rows: list[Row] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    planted: dict[str, list[dict[str, str | None]]] = field(default_factory=dict)

    def add(self, original: Original, **columns: Any) -> str:
        """Serve an image and list it truthfully, save for the given columns; return its URL."""
        return self._list(original, original.content, original.size, **columns)

    def plant(
        self,
        kind: str,
        original: Original,
        *,
        served: bytes | None,
        copy_of: str | None = None,
        at_server: bool = False,
        size: tuple[int, int] | None = None,
        **columns: Any,
    ) -> None:
        """List an image that is not what it seems, and write that down.

        Args:
            kind: of trouble.
            original: what the table describes.
            served: bytes behind the URL; None where there are none.
            copy_of: what it repeats.
            at_server: whether the trouble is the server's doing.
            size: what the table says of width and height; None: the truth of `original`.
            columns: other columns of the table that the trouble shows in.
        """
        url = self._list(original, served, size or original.size, **columns)
        self.planted.setdefault(kind, []).append({"url": url, "of": copy_of})
        if at_server:
            self.faults[f"/images/{original.name}"] = kind

    def forbid(self, url: str, caption: str) -> None:
        """List a URL that must not be fetched."""
        self.rows.append(Row(url, caption, (640, 480), md5(url.encode())))
        self.planted.setdefault("forbidden_url", []).append({"url": url, "of": None})

    def _list(
        self, original: Original, served: bytes | None, size: tuple[int, int], **columns: Any
    ) -> str:
        url = image_url(original.name)
        self.rows.append(Row(url, original.caption, size, md5(original.content), columns))
        if served is not None:
            self.files[original.name] = served
        return url


def _pixels(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def reencoded(content: bytes) -> bytes:
    """Encode an image again, at a lower quality."""
    return encode(np.asarray(_pixels(content)), quality=70)


def resized(content: bytes, *, scale: float = 0.85) -> bytes:
    """Resize an image and encode it again."""
    image = _pixels(content)
    width, height = (max(1, round(side * scale)) for side in image.size)
    smaller = image.resize((width, height), Image.Resampling.LANCZOS)
    return encode(np.asarray(smaller), quality=90)


def _blank(content: bytes) -> bytes:
    pixels = np.asarray(_pixels(content))
    mean = np.rint(pixels.mean((0, 1))).astype(np.uint8)
    return encode(np.broadcast_to(mean, pixels.shape).copy(), quality=90)


def _stretched(content: bytes) -> bytes:
    image = _pixels(content)
    wide = image.resize((5 * image.width, image.height), Image.Resampling.BILINEAR)
    return encode(np.asarray(wide), quality=90)


def bomb() -> bytes:
    """Return a small PNG that unpacks to more pixels than anyone wants."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    rows = bytes(1 + (BOMB_SIDE + 7) // 8) * BOMB_SIDE
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


# Trouble at the server: what is behind the URL, if anything.
SERVER_FAULTS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "not_found": lambda content: None,  # noqa: ARG005
    "gone": lambda content: None,  # noqa: ARG005
    "timeout": lambda content: None,  # noqa: ARG005
    "redirect_private": lambda content: None,  # noqa: ARG005
    "html": lambda content: HTML,  # noqa: ARG005
    "slow": lambda content: content,
    "flaky": lambda content: content,
    "opt_out": lambda content: content,
}
# Trouble in the bytes, against what the table's md5 promises.
BROKEN_BYTES: Mapping[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",  # noqa: ARG005
    "changed": reencoded,
}
# Images that are what the table says and that a filter should drop, or shrink.
UNFIT_IMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "blank": _blank,
    "small": lambda content: resized(content, scale=0.4),
    "extreme_aspect": _stretched,
    "oversize": lambda content: resized(content, scale=OVERSIZE),
}
# Images that are fine, with columns by which the table says otherwise.
UNFIT_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "unsafe": {"punsafe": 0.4},
    "watermarked": {"pwatermark": 0.97},
    "low_similarity": {"similarity": 0.2},
    "short_caption": {"caption": "img"},
}
COPIES: Mapping[str, Callable[[bytes], bytes]] = {
    "exact": lambda content: content,
    "reencoded": reencoded,
    "resized": resized,
}
# A stalled request costs a download its whole deadline: a few are enough.
STALLING = ("timeout", "slow")
MAX_STALLING = 2


def num_fresh(each: int) -> int:
    """Return how many images of their own `plant_all` needs for `each` of every kind."""
    kinds = (SERVER_FAULTS, BROKEN_BYTES, UNFIT_IMAGES, UNFIT_COLUMNS)
    return each * sum(map(len, kinds)) + 1


def plant_all(
    origin: Origin,
    *,
    each: int,
    fresh: Sequence[Original],
    training: Sequence[Original],
    evaluation: Sequence[Original],
) -> None:
    """Plant `each` of every kind of trouble.

    Args:
        origin: where to plant.
        each: how many of a kind; of the stalling kinds at most two.
        fresh: images shown nowhere else, `num_fresh(each)` of them.
        training: images to copy under other URLs.
        evaluation: images of the benchmarks, to leak; may be empty.
    """
    unused = iter(fresh)
    for kind, serve in SERVER_FAULTS.items():
        for original in [next(unused) for _ in range(each)][: _limit(kind, each)]:
            origin.plant(kind, original, served=serve(original.content), at_server=True)
    for kind, spoil in BROKEN_BYTES.items():
        for original in [next(unused) for _ in range(each)]:
            origin.plant(kind, original, served=spoil(original.content))
    for kind, change in UNFIT_IMAGES.items():
        for original in [next(unused) for _ in range(each)]:
            content = change(original.content)
            unfit = Original(original.name, content, original.caption)
            origin.plant(kind, unfit, served=content)
    for kind, columns in UNFIT_COLUMNS.items():
        for original in [next(unused) for _ in range(each)]:
            origin.plant(kind, original, served=original.content, **columns)
    last = next(unused)
    origin.plant("bomb", last, served=bomb(), size=(BOMB_SIDE, BOMB_SIDE))
    _plant_copies(origin, "duplicate", each, training, [image_url(o.name) for o in training])
    _plant_copies(origin, "leak", each, evaluation, [o.name for o in evaluation])
    for url in FORBIDDEN_URLS:
        origin.forbid(url, "a picture that is none of our business")


def _limit(kind: str, each: int) -> int:
    return min(each, MAX_STALLING) if kind in STALLING else each


def _plant_copies(
    origin: Origin, kind: str, each: int, originals: Sequence[Original], sources: Sequence[str]
) -> None:
    """Serve copies of evenly spaced originals, each way of copying in turn."""
    total = min(each * len(COPIES), len(originals))
    places = np.linspace(0, len(originals) - 1, total).astype(int)
    ways = list(COPIES.items())
    for number, place in enumerate(places):
        way, copy = ways[number % len(ways)]
        content = copy(originals[place].content)
        name = f"{kind}-{number:06d}.jpg"
        planted = Original(name, content, originals[place].caption)
        origin.plant(f"{kind}_{way}", planted, served=content, copy_of=sources[place])
