"""Near-duplicate hashes: the index of bands against comparing every pair, in the same run.

    python benchmarks/hash_pairs.py [--hashes 100000 1000000 10000000] [--radius 2]

Random 64-bit hashes, one in a hundred a copy of another with up to `--radius` bits flipped. Process
CPU time on one thread, and the peak of traced memory in a second call. Comparing every pair is
timed on blocks of 4,096 x 4,096 with the same popcount and extrapolated to all pairs.

Exits with 1 when a planted pair is missing, or an index of a million hashes is not a hundred times
faster than all pairs.
"""

import argparse
import statistics
import sys
import time
import tracemalloc

import numpy as np
import numpy.typing as npt

from data_filters.dedup.hamming import pairs_within

BLOCK = 4096
Hashes = npt.NDArray[np.uint64]


def plant(number: int, *, radius: int, seed: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Draw hashes; return them, and the originals of the last hundredth, which are copies."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 1 << 64, number, dtype=np.uint64)
    copies = number // 100
    originals = rng.integers(0, number - copies, copies)
    flips = np.zeros(copies, np.uint64)
    for _ in range(radius):
        flips ^= np.uint64(1) << rng.integers(0, 64, copies, dtype=np.uint64)
    hashes[number - copies :] = hashes[originals] ^ flips
    return hashes, originals


def every_pair_seconds(hashes: Hashes, *, radius: int) -> float:
    """Extrapolate the time of comparing all pairs from a few blocks."""
    taken = []
    for number in range(5):
        left, right = hashes[number * BLOCK :][:BLOCK], hashes[-BLOCK:]
        start = time.process_time()
        np.argwhere(np.bitwise_count(left[:, None] ^ right) <= radius)
        taken.append(time.process_time() - start)
    return statistics.median(taken) * len(hashes) * (len(hashes) - 1) / 2 / BLOCK**2


def measure(number: int, *, radius: int) -> tuple[bool, float]:
    """Print one size; return whether every planted pair was found, and the speed-up."""
    hashes, originals = plant(number, radius=radius, seed=number)
    start = time.process_time()
    left, right = pairs_within(hashes, radius=radius)
    seconds = time.process_time() - start
    tracemalloc.start()
    pairs_within(hashes, radius=radius)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    copies = np.arange(number - len(originals), number)
    missing = sum(
        pair not in found for pair in zip(originals.tolist(), copies.tolist(), strict=True)
    )
    brute = every_pair_seconds(hashes, radius=radius)
    print(
        f"{number:>11,} hashes, radius {radius}: {seconds:8.2f} s, "
        f"{number / seconds / 1e6:.2f} M/s, "
        f"{peak / number:4.0f} B a hash besides it; every pair {brute:,.0f} s, "
        f"{brute / seconds:,.0f} times as long; {missing} of {len(originals):,} planted missing"
    )
    return missing == 0, brute / seconds


def main() -> int:
    """Measure every size; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hashes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--radius", type=int, default=2)
    arguments = parser.parse_args()
    good = True
    for number in arguments.hashes:
        complete, ratio = measure(number, radius=arguments.radius)
        good &= complete and (ratio >= 100 or number < 1_000_000)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
