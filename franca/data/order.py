"""The global order of the samples: a keyed permutation per epoch, computed on the fly.

The order knows nothing of ranks, workers or restarts: position `p` of the run is one sample, always
the same. State to save is the position; memory does not grow with the number of samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from franca.randomness import derive_seed

_ROUNDS = 8  # four already pass the usual tests; eight keep small domains (10 samples) uniform too


def permute(
    indices: Int64[np.ndarray, " count"], *, size: int, key: int
) -> Int64[np.ndarray, " count"]:
    """Apply the permutation of range(size) that belongs to `key` to each index.

    A balanced Feistel network permutes [0, 4^h), the smallest such range that holds `size`; an
    index that leaves [0, size) is sent through again until it returns (cycle walking: Black and
    Rogaway, "Ciphers with arbitrary finite domains", 2002), fewer than four times on average.

    Args:
        indices: values in [0, size).
        size: the number of elements permuted.
        key: any non-negative integer below 2^63; another key, another permutation.
    """
    half_bits = max(1, (int(size - 1).bit_length() + 1) // 2)
    round_keys = _mix(np.uint64(key) + np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _GOLDEN)
    values = indices.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        values[outside] = _feistel(values[outside], half_bits=half_bits, round_keys=round_keys)
        outside = outside[values[outside] >= size]
    return values.astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class EpochOrder:
    """Which sample stands at which position of an endless run over `size` samples.

    Epoch `e` covers the positions [e * size, (e + 1) * size) and holds each sample exactly once.
    """

    size: int
    seed: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("cannot order an empty data set; give it at least one image")

    def sample_at(self, position: int) -> int:
        """Return the sample at one position of the run."""
        return int(self.samples_between(position, position + 1)[0])

    def samples_between(self, start: int, stop: int) -> Int64[np.ndarray, " count"]:
        """Return the samples at the positions [start, stop), which may span several epochs."""
        parts = [np.empty(0, dtype=np.int64)]
        while start < stop:
            epoch, offset = divmod(start, self.size)
            count = min(stop - start, self.size - offset)
            parts.append(
                permute(
                    np.arange(offset, offset + count, dtype=np.int64),
                    size=self.size,
                    key=derive_seed(self.seed, "order", epoch),
                )
            )
            start += count
        return np.concatenate(parts)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64: Steele, Lea and Flood, 2014


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit integers with SplitMix64's finaliser (arithmetic modulo 2^64 is meant)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _feistel(
    values: npt.NDArray[np.uint64], *, half_bits: int, round_keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Permute [0, 4^half_bits): each round swaps the halves and scrambles one with the other."""
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for round_key in round_keys:
        left, right = right, left ^ (_mix(right ^ round_key) & mask)
    return (left << shift) | right
