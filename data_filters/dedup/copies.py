"""Which images are copies: edges between images with equal digests, or with close hashes.

All of it runs over a table on disk. What is held at a time is a share of the values, as large as
memory allows; how many shares there are changes nothing but the time.
"""

# ruff: noqa: S608  the SQL is made of our own words and numbers

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm import tqdm

from data_filters.dedup.components import add_pairs
from data_filters.dedup.hamming import Band, bands, close_between, close_within
from data_filters.io.parquet import num_rows
from data_filters.metadata.repeats import repeated_keys

_BYTES_PER_DIGEST: Final = 10
"""A hash of the digest, and whether it equals the next."""

_BYTES_PER_HASH: Final = 100
"""The hash, its image, its band, and what sorting and comparing add (benchmarks/hash_pairs.py)."""

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


def join_equal(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    *,
    column: str,
    condition: str = "true",
    max_bytes: int,
) -> None:
    """Join images with the same value of a column to the first of them, in the table `edges`.

    Nearly all values occur once; only those whose 64-bit hash occurs again are compared.

    Args:
        connection: A database with tables `images` and `edges`.
        files: Those of `images`.
        column: What is compared.
        condition: SQL condition of the images to look at.
        max_bytes: Memory for hashes.
    """
    shares = _shares(f"hash({column})", files, _BYTES_PER_DIGEST, max_bytes=max_bytes)
    for share in shares:
        wanted = f"{share} AND {condition}"
        keys = repeated_keys(connection, files, column=column, share=wanted, num_shares=len(shares))
        connection.register("candidates", pa.table({"key": keys}))
        connection.execute(
            "INSERT INTO edges SELECT place, first FROM (SELECT place, "
            f"min(place) OVER (PARTITION BY {column}) AS first FROM images "
            f"SEMI JOIN candidates ON hash({column}) = key WHERE {wanted}) WHERE place > first"
        )
        connection.unregister("candidates")


def join_alike(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    *,
    radius: int,
    min_contrast: float,
    mirrored: bool,
    max_bytes: int,
) -> None:
    """Join images whose perceptual hashes are close, in the table `edges`.

    Of equal hashes only the first is compared with others. Hashes are read band by band, each time
    in shares of the band's values: hashes with the same band lie in the same share.

    Args:
        connection: A database with tables `images` and `edges`; in the latter, all images with
            equal hashes that are worth comparing are joined.
        files: Those of `images`.
        radius: Bits in which hashes of copies may differ.
        min_contrast: Contrast below which a hash is not compared.
        mirrored: Whether an image and its mirror image are copies.
        max_bytes: Memory for hashes.
    """
    worth = worth_comparing(min_contrast)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE distinct_hashes AS SELECT min(place) AS place, perceptual "
        f"FROM images WHERE {worth} GROUP BY perceptual"
    )
    for band, share in tqdm(_passes(radius, files, max_bytes), desc="near duplicates", unit="pass"):
        hashes, places = _read(
            connection, "SELECT place, perceptual AS hash FROM distinct_hashes", share
        )
        for left, right in close_within(hashes, band=band, radius=radius):
            add_pairs(connection, places[left], places[right])
        if mirrored:
            others, theirs = _read(
                connection, f"SELECT place, mirrored AS hash FROM images WHERE {worth}", share
            )
            for left, right in close_between(hashes, others, band=band, radius=radius):
                add_pairs(connection, places[left], theirs[right])


def worth_comparing(min_contrast: float) -> str:
    """Return the SQL condition of images whose hash says something."""
    return f"contrast >= CAST({min_contrast!r} AS FLOAT)"


def _passes(radius: int, files: Sequence[Path], max_bytes: int) -> list[tuple[Band, str]]:
    """List bands and shares of their values; what does not agree in a band may be kept apart."""
    return [
        (band, share)
        for band in bands(radius + 1)
        for share in _shares(
            f"hash({_band_sql(band)})", files, _BYTES_PER_HASH, max_bytes=max_bytes
        )
    ]


def _shares(key: str, files: Sequence[Path], bytes_per_row: int, *, max_bytes: int) -> list[str]:
    """List SQL conditions that cut the rows into shares that fit into memory."""
    number = max(1, -(-sum(map(num_rows, files)) * bytes_per_row // max_bytes))
    return [f"{key} % {number} = {share}" for share in range(number)]


def _band_sql(band: Band) -> str:
    return f"((hash >> {band.shift}::UBIGINT) & {band.mask}::UBIGINT)"


def _read(connection: duckdb.DuckDBPyConnection, rows: str, share: str) -> tuple[Hashes, Indices]:
    found = connection.sql(f"SELECT hash, place FROM ({rows}) WHERE {share}").fetchnumpy()
    return np.asarray(found["hash"]), np.asarray(found["place"])
