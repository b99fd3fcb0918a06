"""All pairs of 64-bit hashes within a Hamming radius, found exactly through an index of bands.

Cut a hash into bands: two hashes that differ in at most `radius` bits differ in few bits of at
least one band (pigeonhole; Norouzi et al., "Fast Exact Search in Hamming Space with Multi-Index
Hashing", 2014). So only hashes that nearly share a band are compared, and no pair is missed. With
radius + 1 bands, one is shared as it is.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

_BITS: Final = 64
_FEWEST_BANDS: Final = 3
"""When hashes are looked up: a table of the values of one of three bands takes 32 MB."""

_MAX_CANDIDATES: Final = 1 << 20
"""Candidate pairs compared at a time: 8 MB per column."""

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


class Band(NamedTuple):
    """Some neighbouring bits of a hash: `(hash >> shift) & mask`."""

    shift: np.uint64
    mask: np.uint64

    @property
    def width(self) -> int:
        """How many bits."""
        return int(self.mask).bit_length()

    def of(self, hashes: Hashes) -> Hashes:
        """Cut the band out of each hash."""
        return (hashes >> self.shift) & self.mask


def bands(number: int) -> list[Band]:
    """Cut 64 bits into bands of nearly equal width."""
    edges = np.linspace(0, _BITS, number + 1).round().astype(int)
    return [
        Band(np.uint64(low), np.uint64((1 << int(high - low)) - 1)) for low, high in pairwise(edges)
    ]


class Lookup:
    """Hashes in which others are looked up: sorted once by some of their bits, asked many times.

    Args:
        base: Hashes, [base]; fewer than 2^31.
        radius: Bits that may differ, 0 to 63.
    """

    def __init__(self, base: Hashes, *, radius: int) -> None:
        self._radius = radius
        self._tables = [_table(base, *probe) for probe in _probes(len(base), radius=radius)]

    def pairs(self, queries: Hashes) -> tuple[Indices, Indices]:
        """Find every (query, base) pair within the radius.

        Returns:
            Indices into `queries` and into `base`, sorted, without repeats.
        """
        found = []
        for first in range(0, len(queries), _MAX_CANDIDATES):
            piece = queries[first : first + _MAX_CANDIDATES]
            for table in self._tables:
                for left, place in table.candidates(piece):
                    close = np.bitwise_count(piece[left] ^ table.hashes[place]) <= self._radius
                    right = table.order[place[close]].astype(np.int64)
                    found.append((first + left[close], right))
        return _sorted_once(found)


class _Table(NamedTuple):
    """Hashes in the order of one band.

    Attributes:
        band: The band.
        flips: Its bits to flip, so that a query meets all hashes that nearly agree with it.
        hashes: Sorted by the band: those of one value lie side by side.
        order: Index of each before.
        starts: Of each value of the band, where its hashes start; and the end.
    """

    band: Band
    flips: list[np.uint64]
    hashes: Hashes
    order: npt.NDArray[np.int32]
    starts: Indices

    def candidates(self, queries: Hashes) -> Iterator[tuple[Indices, Indices]]:
        """Yield (query, place) of hashes that nearly agree with a query in the band."""
        for flip in self.flips:
            value = self.band.of(queries ^ (flip << self.band.shift)).astype(np.int64)
            yield from _candidates(self.starts[value], self.starts[value + 1])


def _table(base: Hashes, band: Band, flips: list[np.uint64]) -> _Table:
    cut = band.of(base).astype(np.int64)
    ends = np.cumsum(np.bincount(cut, minlength=int(band.mask) + 1))
    order = np.argsort(cut, kind="stable").astype(np.int32)
    return _Table(band, flips, base[order], order, np.concatenate([[0], ends]))


def pairs_within(hashes: Hashes, *, radius: int) -> tuple[Indices, Indices]:
    """Find every pair i < j of hashes at a Hamming distance of at most `radius`."""
    found = [close_within(hashes, band=band, radius=radius) for band in bands(radius + 1)]
    return _sorted_once([pairs for each in found for pairs in each])


def close_between(
    queries: Hashes, base: Hashes, *, band: Band, radius: int
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs among those that agree in one band, in chunks of bounded size.

    Args:
        queries: Hashes, [queries].
        base: Hashes, [base].
        band: What they have in common.
        radius: Bits that may differ.
    """
    cut = band.of(base)
    order = np.argsort(cut, kind="stable")
    cut = cut[order]
    for first in range(0, len(queries), _MAX_CANDIDATES):
        piece = queries[first : first + _MAX_CANDIDATES]
        wanted = band.of(piece)
        start = np.searchsorted(cut, wanted, side="left")
        stop = np.searchsorted(cut, wanted, side="right")
        for left, place in _candidates(start, stop):
            right = order[place]
            close = np.bitwise_count(piece[left] ^ base[right]) <= radius
            yield first + left[close], right[close]


def close_within(hashes: Hashes, *, band: Band, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs i < j among those that agree in one band, in chunks of bounded size.

    Hashes with the same band lie side by side once sorted by it, so each is compared with those
    that follow.
    """
    cut = band.of(hashes)
    order = np.argsort(cut, kind="stable")
    cut.sort()
    ends = np.append(np.flatnonzero(cut[1:] != cut[:-1]) + 1, len(cut))
    stop = np.repeat(ends, np.diff(ends, prepend=0))
    for first, second in _candidates(np.arange(1, len(order) + 1), stop):
        left, right = order[first], order[second]
        close = np.bitwise_count(hashes[left] ^ hashes[right]) <= radius
        left, right = left[close], right[close]
        yield np.minimum(left, right), np.maximum(left, right)


def _probes(size: int, *, radius: int) -> list[tuple[Band, list[np.uint64]]]:
    """Choose bands, and the bits of each to flip, for the least work with so many hashes.

    Hashes within the radius differ in at most r_i bits of some band i, where the r_i + 1 add up to
    radius + 1. Fewer and wider bands have fewer hashes of one value, but more values to look up.
    """
    choices = []
    for number in range(_FEWEST_BANDS, max(_FEWEST_BANDS, radius + 1) + 1):
        spread = [(radius + 1 + rest) // number - 1 for rest in range(number)]
        probes = [pair for pair in zip(bands(number), spread, strict=True) if pair[1] >= 0]
        work = sum(
            (1 + size / (1 + int(band.mask))) * sum(comb(band.width, k) for k in range(within + 1))
            for band, within in probes
        )
        choices.append((work, number, probes))
    return [(band, _flips(band, within)) for band, within in min(choices)[2]]


def _flips(band: Band, within: int) -> list[np.uint64]:
    """List the ways to change at most `within` bits of a band."""
    bits = [1 << place for place in range(band.width)]
    chosen = (some for count in range(within + 1) for some in combinations(bits, count))
    return [np.uint64(sum(some)) for some in chosen]


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
