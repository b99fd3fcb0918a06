"""Semantic duplicates: what the inverted file misses and saves, and SemDeDup beside components.

    python benchmarks/semantic_dedup.py [--images 60000] [--dim 128]

Unit vectors in clouds of differing width around 2,000 centres, and for a tenth of them a copy with
noise, little or much: the planted duplicates. Printed, in one run on one thread:

    exact       all with all in one matrix product per block (the peer), and faiss without lists
    inverted    faiss IVF at several numbers of probes: recall of the exact pairs, CPU time ratio
    recall      of planted duplicates, and precision of the components against the truth
    order       that shuffling the input changes no verdict
    semdedup    what it keeps of planted pairs

Exits with 1 when the exact search misses a pair of the peer or order changes a verdict.
"""

import argparse
import sys
import time
from collections.abc import Callable

import faiss
import numpy as np
import numpy.typing as npt

from data_filters.dedup.components import components
from data_filters.dedup.neighbours import Search, close_pairs
from data_filters.dedup.semdedup import semdedup
from data_filters.models.network import normalised

MIN_COSINE = 0.9
Rows = npt.NDArray[np.float16]
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def planted(images: int, dim: int) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Return embeddings and, for each, the image that it is a copy of (itself, as a rule)."""
    rng = np.random.default_rng(0)
    copies = images // 11
    centres = rng.normal(size=(2000, dim))
    width = rng.uniform(0.5, 1.2, size=(2000, 1))
    cloud = rng.integers(0, 2000, images - copies)
    rows = centres[cloud] + width[cloud] * rng.normal(size=(images - copies, dim))
    source = rng.permutation(images - copies)[:copies]
    unit = normalised(rows.astype(np.float32))
    noise = rng.uniform(0, 0.5, (copies, 1)) / dim**0.5 * rng.normal(size=(copies, dim))
    near = normalised(unit[source] + noise.astype(np.float32))
    truth = np.concatenate([np.arange(images - copies), source])
    return np.concatenate([unit, near]).astype(np.float16), truth


def product(rows: Rows, block: int = 4096) -> Pairs:
    """The peer: all cosines, a block at a time."""
    wide = rows.astype(np.float32)
    found = []
    for start in range(0, len(wide), block):
        i, j = np.nonzero(wide[start : start + block] @ wide.T >= MIN_COSINE)
        found.append(np.stack([i + start, j])[:, i + start < j])
    left, right = np.concatenate(found, axis=1)
    return left, right


def timed(work: Callable[[], Pairs]) -> tuple[set[tuple[int, int]], Pairs, float]:
    """Return the pairs as a set and as arrays, and CPU seconds."""
    start = time.process_time()
    left, right = work()
    seconds = time.process_time() - start
    return set(zip(left.tolist(), right.tolist(), strict=True)), (left, right), seconds


def by_content(rows: Rows, lists: int, shuffle: npt.NDArray[np.int64]) -> set[int]:
    """Shuffle, put back into the order of content as the stage does, and name what is dropped."""
    given = rows[shuffle]
    order = np.lexsort(given.view(np.uint16).T)
    how = Search(neighbours=64, lists=lists, probes=4, seed=0)
    left, right = close_pairs(given[order], min_cosine=MIN_COSINE, search=how)
    best = components(len(rows), (left, right))
    return set(shuffle[order[best != np.arange(len(rows))]].tolist())


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--dim", type=int, default=128)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rows, truth = planted(arguments.images, arguments.dim)
    copies = {(int(a), b) for b, a in enumerate(truth) if a != b}
    expected, _, seconds = timed(lambda: product(rows))
    lists = 4 * int(len(rows) ** 0.5)
    print(f"{len(rows)} embeddings of {arguments.dim}, cosine {MIN_COSINE}: {len(expected)} pairs, "
          f"{len(copies)} planted; matrix product {seconds:.1f} CPU-s")  # fmt: skip
    print(
        f"{'search':24}{'recall of pairs':>16}{'of planted':>12}{'precision':>11}{'x faster':>10}"
    )
    passed = True
    for name, how in {
        "exact": Search(64, None, 1, 0),
        **{f"{lists} lists, {p} probes": Search(64, lists, p, 0) for p in (1, 4, 16, 64)},
    }.items():
        found, edges, spent = timed(
            lambda how=how: close_pairs(rows, min_cosine=MIN_COSINE, search=how)
        )
        groups = components(len(rows), edges)
        joined = groups != np.arange(len(rows))
        right = (truth[groups] == truth)[joined].mean()
        if how.lists is None:
            passed &= found == expected
        recalled = len(found & expected) / len(expected)
        values = (recalled, len(found & copies) / len(copies), right, seconds / spent)
        print(f"{name:24}" + "".join(f"{value:16.4f}" for value in values))
    rng = np.random.default_rng(1)
    verdicts = [by_content(rows, lists, rng.permutation(len(rows))) for _ in range(2)]
    same = verdicts[0] == verdicts[1]
    print(f"shuffled twice, {len(verdicts[0])} dropped, the same images: {same}")
    start = time.process_time()
    dropped = semdedup(rows, clusters=lists, min_cosine=MIN_COSINE, seed=0)
    gone = set(dropped.images.tolist())
    both = sum(a not in gone and b not in gone for a, b in copies) / len(copies)
    neither = sum(a in gone and b in gone for a, b in copies) / len(copies)
    print(f"SemDeDup, {lists} clusters: {len(gone)} dropped in {time.process_time() - start:.1f} "
          f"CPU-s; of planted pairs both stay {both:.4f}, neither {neither:.4f}")  # fmt: skip
    passed &= same
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
