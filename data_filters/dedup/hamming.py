"""All pairs of 64-bit hashes within a Hamming radius, found exactly through an index of bands.

Cut a hash into radius + 1 bands: two hashes that differ in at most `radius` bits agree in at least
one whole band (pigeonhole; Norouzi et al., "Fast Exact Search in Hamming Space with Multi-Index
Hashing", 2014). So only hashes that share a band are compared, and no pair is missed.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

_BITS: Final = 64
_MAX_CANDIDATES: Final = 1 << 22
"""Candidate pairs compared at a time: 32 MB per column."""

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


def pairs_between(queries: Hashes, base: Hashes, *, radius: int) -> tuple[Indices, Indices]:
    """Find every (query, base) pair at a Hamming distance of at most `radius`.

    Args:
        queries: Hashes, [queries].
        base: Hashes, [base].
        radius: Bits that may differ, 0 to 63.

    Returns:
        Indices into `queries` and into `base`, sorted, without repeats.
    """
    found = [
        pair for band in _bands(radius) for pair in _pairs_of_band(queries, base, band, radius)
    ]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    first = np.ones(len(left), bool)
    first[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[first], right[first]


def pairs_within(hashes: Hashes, *, radius: int) -> tuple[Indices, Indices]:
    """Find every pair i < j of hashes at a Hamming distance of at most `radius`."""
    left, right = pairs_between(hashes, hashes, radius=radius)
    return left[left < right], right[left < right]


def _bands(radius: int) -> list[tuple[np.uint64, np.uint64]]:
    """Cut 64 bits into radius + 1 bands of nearly equal width: (shift, mask) each."""
    edges = np.linspace(0, _BITS, radius + 2).round().astype(int)
    return [
        (np.uint64(low), np.uint64((1 << int(high - low)) - 1)) for low, high in pairwise(edges)
    ]


def _pairs_of_band(
    queries: Hashes, base: Hashes, band: tuple[np.uint64, np.uint64], radius: int
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the close pairs among those that agree in one band, in chunks of bounded size."""
    shift, mask = band
    order = np.argsort((base >> shift) & mask, kind="stable")
    values = ((base >> shift) & mask)[order]
    wanted = (queries >> shift) & mask
    start = np.searchsorted(values, wanted, side="left")
    count = np.searchsorted(values, wanted, side="right") - start
    ends = np.cumsum(count)
    low = 0
    while low < len(queries):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + _MAX_CANDIDATES, side="right")))
        chunk = np.arange(low, high)
        left = np.repeat(chunk, count[chunk])
        within = np.arange(len(left)) - np.repeat(ends[chunk] - count[chunk] - done, count[chunk])
        right = order[np.repeat(start[chunk], count[chunk]) + within]
        close = np.bitwise_count(queries[left] ^ base[right]) <= radius
        yield left[close], right[close]
        low = high
