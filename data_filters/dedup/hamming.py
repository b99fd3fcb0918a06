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

_MAX_SORTED: Final = 1 << 24
"""Hashes sorted at a time: 128 MB per column."""

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
    found = []
    for shift, mask in _bands(radius):
        band = (base >> shift) & mask
        order = np.argsort(band, kind="stable")
        band = band[order]
        for first in range(0, len(queries), _MAX_CANDIDATES):
            piece = queries[first : first + _MAX_CANDIDATES]
            wanted = (piece >> shift) & mask
            start = np.searchsorted(band, wanted, side="left")
            stop = np.searchsorted(band, wanted, side="right")
            for left, place in _candidates(start, stop):
                right = order[place]
                close = np.bitwise_count(piece[left] ^ base[right]) <= radius
                found.append((first + left[close], right[close]))
    return _sorted_once(found)


def pairs_within(hashes: Hashes, *, radius: int) -> tuple[Indices, Indices]:
    """Find every pair i < j of hashes at a Hamming distance of at most `radius`.

    Hashes with the same band lie side by side once sorted by it, so each is compared with those
    that follow. Only a share of them is sorted at a time: besides the hashes and one byte a hash,
    memory does not grow with their number.
    """
    found = []
    for shift, mask in _bands(radius):
        shares = min(-(-len(hashes) // _MAX_SORTED), int(mask) + 1)
        for number in range(shares):
            low, high = ((int(mask) + 1) * part // shares for part in (number, number + 1))
            members = np.flatnonzero(_between(hashes, shift, mask, low, high))
            band = (hashes[members] >> shift) & mask
            order = members[np.argsort(band, kind="stable")]
            band.sort()
            ends = np.append(np.flatnonzero(band[1:] != band[:-1]) + 1, len(band))
            stop = np.repeat(ends, np.diff(ends, prepend=0))
            for first, second in _candidates(np.arange(1, len(order) + 1), stop):
                left, right = order[first], order[second]
                close = np.bitwise_count(hashes[left] ^ hashes[right]) <= radius
                left, right = left[close], right[close]
                found.append((np.minimum(left, right), np.maximum(left, right)))
    return _sorted_once(found)


def _bands(radius: int) -> list[tuple[np.uint64, np.uint64]]:
    """Cut 64 bits into radius + 1 bands of nearly equal width: (shift, mask) each."""
    edges = np.linspace(0, _BITS, radius + 2).round().astype(int)
    return [
        (np.uint64(low), np.uint64((1 << int(high - low)) - 1)) for low, high in pairwise(edges)
    ]


def _between(
    hashes: Hashes, shift: np.uint64, mask: np.uint64, low: int, high: int
) -> npt.NDArray[np.bool_]:
    """Which hashes have a band in [low, high), a piece at a time."""
    chosen = np.empty(len(hashes), bool)
    for start in range(0, len(hashes), _MAX_CANDIDATES):
        piece = slice(start, start + _MAX_CANDIDATES)
        band = (hashes[piece] >> shift) & mask
        chosen[piece] = (band >= np.uint64(low)) & (band <= np.uint64(high - 1))
    return chosen


def _candidates(start: Indices, stop: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield every (i, j) with start[i] <= j < stop[i], in chunks of bounded size."""
    count = stop - start
    ends = np.cumsum(count)
    low = 0
    while low < len(count):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + _MAX_CANDIDATES, side="right")))
        chunk = np.arange(low, high)
        left = np.repeat(chunk, count[chunk])
        within = np.arange(len(left)) - np.repeat(ends[chunk] - count[chunk] - done, count[chunk])
        yield left, np.repeat(start[chunk], count[chunk]) + within
        low = high


def _sorted_once(found: list[tuple[Indices, Indices]]) -> tuple[Indices, Indices]:
    """Join pairs, sort them, and drop those that several bands have found."""
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    first = np.ones(len(left), bool)
    first[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[first], right[first]
