"""Near-duplicate hashes: the index of bands against comparing every pair, in the same run.

    python benchmarks/hash_pairs.py [--hashes 100000 1000000 10000000] [--radius 2]
                                    [--photographs 'data/tiny_imagenet_50/train-*.parquet']

Random 64-bit hashes, one in a hundred a copy of another with up to `--radius` bits flipped. Process
CPU time on one thread, and the peak of traced memory in a second call. Comparing every pair is
timed on blocks of 4,096 x 4,096 with the same popcount and extrapolated to all pairs.

What `franca plan` projects from comes after it: pairs that share a band compared a second, when as
many hashes share its value as of 600 million; images a second looked up among the hashes of
evaluation images at radius 6; and, of photographs in parquet files with a column image{bytes}, how
many times as many share each band as would by chance.

Exits with 1 when a planted pair is missing, or an index of a million hashes is not a hundred times
faster than all pairs.
"""

import argparse
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data_filters.dedup.hamming import Lookup, bands, close_within, pairs_within
from data_filters.dedup.signatures import sign

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


def crowded(number: int = 1_000_000, images: int = 600_000_000) -> None:
    """Print how many candidates a second are compared when many hashes share a value."""
    band = bands(3)[0]
    values = max(1, number * (int(band.mask) + 1) // images)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 64, number, np.uint64) & ~band.mask
    hashes |= rng.integers(0, values, number, np.uint64)
    counts = np.bincount((hashes & band.mask).astype(np.int64)).astype(float)
    start = time.process_time()
    for _ in close_within(hashes, band=band, radius=2):
        pass
    rate = (counts * (counts - 1)).sum() / 2 / (time.process_time() - start)
    print(f"{number / values:.0f} hashes of each value of a band: {rate / 1e6:.0f} M pairs/s")


def looked_up(number: int, *, radius: int, queries: int = 65_536) -> None:
    """Print how many images a second are compared with so many hashes of evaluation images."""
    rng = np.random.default_rng(0)
    base, others = (rng.integers(0, 1 << 64, size, np.uint64) for size in (number, queries))
    start = time.process_time()
    lookup = Lookup(base, radius=radius)
    built = time.process_time()
    lookup.pairs(others)
    rate = queries / (time.process_time() - built)
    print(
        f"{number:,} evaluation hashes, radius {radius}: indexed in {built - start:.1f} s, then "
        f"{rate:,.0f} images/s"
    )


def over_chance(pattern: str) -> None:
    """Print how many times as many photographs share a band of their hashes as would by chance."""
    files = sorted(Path().glob(pattern))
    if not files:
        raise FileNotFoundError(f"--photographs: nothing matches {pattern!r}")
    images = (
        image["bytes"] for file in files for image in pq.read_table(file)["image"].to_pylist()
    )
    distinct = {sign(data).perceptual for data in images}
    hashes = np.array(sorted(distinct), np.uint64)
    ratios = []
    for band in bands(3):
        shared = np.unique(band.of(hashes), return_counts=True)[1].astype(float)
        pairs = (shared * (shared - 1)).sum() / (len(hashes) * (len(hashes) - 1))
        ratios.append(pairs * 2**band.width)
    print(f"{len(hashes):,} distinct hashes of photographs, pairs that share a band, times chance: "
          + ", ".join(f"{ratio:.1f}" for ratio in ratios))  # fmt: skip


def main() -> int:
    """Measure every size; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hashes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--radius", type=int, default=2)
    parser.add_argument("--photographs", help="glob of parquet files")
    arguments = parser.parse_args()
    good = True
    for number in arguments.hashes:
        complete, ratio = measure(number, radius=arguments.radius)
        good &= complete and (ratio >= 100 or number < 1_000_000)
    crowded()
    for number in (3_800_000, 27_000_000):
        looked_up(number, radius=6)
    if arguments.photographs is not None:
        over_chance(arguments.photographs)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
