"""Rows of a table of image URLs with the columns, types and spreads of ReLAION-2B-en-research-safe.

The order of the columns and their spreads follow consumers of the gated table: medians and
quintiles of the first two parts for similarity, pwatermark and punsafe.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from franca.randomness import derive_seed, numpy_generator

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("caption", pa.string()),
        ("similarity", pa.float64()),
        ("hash", pa.int64()),
        ("pwatermark", pa.float32()),
        ("punsafe", pa.float32()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("exif", pa.string()),
        ("md5", pa.string()),
    ]
)
# Where the six-quantiles 0, .2, .4, .6, .8, 1 lie; research-safe ends below a punsafe of 0.45.
QUANTILES = np.linspace(0, 1, 6)
SIMILARITY = np.array([0.28, 0.30, 0.315, 0.33, 0.35, 0.45])
PWATERMARK = np.array([0.01, 0.10, 0.20, 0.35, 0.60, 0.99])
LOG_PUNSAFE = np.log([1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 0.2])

PHRASES = (
    "{} on a table, studio photograph",
    "Vintage {} - stock photo",
    "How to make a {} at home | Craft Blog",
    "{} (set of 4), assorted colours",
    "3D render of a {} in an empty room",
    "Buy {} online, free shipping",
    "close-up of a {} by the window",
    "IMG_2041: {}",
)
ORIGIN = "http://{origin}/images/"


@dataclass(frozen=True)
class Row:
    """One row of the table before it is numbered.

    Attributes:
        url: with the literal `{origin}` for host and port, which change from run to run.
        caption: alternative text.
        size: (width, height) of the original, pixels.
        md5: of the original bytes, as found when the table was made.
        columns: columns that differ from what is drawn.
    """

    url: str
    caption: str
    size: tuple[int, int]
    md5: str
    columns: dict[str, Any] = field(default_factory=dict)


def image_url(name: str) -> str:
    """Return the URL at which the origin serves images/<name>."""
    return ORIGIN + name


def md5(content: bytes) -> str:
    """Return the checksum that the real table carries; an identity here, not a defence."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def caption(seed: int, purpose: str, index: int, names: Sequence[str]) -> str:
    """Write an alternative text that names what is shown, the way the web does."""
    rng = numpy_generator(seed, f"{purpose}/caption", index)
    return PHRASES[rng.integers(len(PHRASES))].format(" and ".join(names))


def _columns(row: Row, *, seed: int, number: int) -> dict[str, Any]:
    rng = numpy_generator(seed, "metadata", number)
    width, height = row.size
    return {
        "url": row.url,
        "caption": row.caption,
        "similarity": float(np.interp(rng.uniform(), QUANTILES, SIMILARITY)),
        "hash": derive_seed(0, row.url + row.caption),
        "pwatermark": float(np.interp(rng.uniform(), QUANTILES, PWATERMARK)),
        "punsafe": float(np.exp(np.interp(rng.uniform(), QUANTILES, LOG_PUNSAFE))),
        "key": f"{number:09d}",
        "status": "success",
        "error_message": None,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "exif": "{}",
        "md5": row.md5,
        **row.columns,
    }


def write_metadata(path: Path, rows: Sequence[Row], *, seed: int) -> None:
    """Write the table in a keyed random order, as a crawl has none."""
    order = numpy_generator(seed, "metadata/order").permutation(len(rows))
    records = [
        _columns(rows[place], seed=seed, number=number) for number, place in enumerate(order)
    ]
    pq.write_table(pa.Table.from_pylist(records, SCHEMA), path, compression="snappy")
