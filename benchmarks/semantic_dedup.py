"""Semantic duplicates: what cells on disk miss and save, and SemDeDup beside components.

    python benchmarks/semantic_dedup.py [--images 60000] [--dim 128]

Unit vectors in clouds of differing width around 2,000 centres, and for a tenth of them a copy with
noise, little or much: the planted duplicates. They lie in a file, as those of the stage do. In one
run on one thread, process CPU time, and how much the memory of the process grew, mapped pages of
the file left out:

    product     all with all, a block of rows at a time with the whole in memory (the peer)
    faiss       its inverted file in memory, searched for ranges from the same centroids (a peer)
    exact, ...  ours: pairs a second as if all were compared, recall of the pairs of the product
    planted     recall of planted duplicates, and precision of the components against the truth
    order       that shuffling the input changes no verdict
    semdedup    what it keeps of planted pairs

Exits with 1 when the exact search misses a pair of the product, the cells find other pairs than
faiss does in memory, or order changes a verdict.
"""

import argparse
import functools
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
import faiss
import numpy as np
import numpy.typing as npt

from data_filters.dedup.cells import SAMPLE
from data_filters.dedup.components import components
from data_filters.dedup.neighbours import close_pairs
from data_filters.dedup.semdedup import semdedup
from data_filters.dedup.vectors import Vectors
from data_filters.models.network import normalised

MIN_COSINE = 0.9
Rows = npt.NDArray[np.float16]
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Measured(NamedTuple):
    """Distinct pairs i < j, CPU seconds, and megabytes that the process grew by."""

    pairs: set[tuple[int, int]]
    seconds: float
    megabytes: float


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


def inverted_file(rows: Rows, *, lists: int, probes: int) -> Pairs:
    """Another peer: faiss, all of it in memory."""
    wide = rows.astype(np.float32)
    kmeans = faiss.Kmeans(
        wide.shape[1], lists, niter=20, seed=0, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(wide[: SAMPLE * lists])
    index = faiss.IndexIVFFlat(kmeans.index, wide.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = probes
    index.add(wide)
    limits, _, found = index.range_search(wide, MIN_COSINE)
    counts = limits[1:].astype(np.int64) - limits[:-1].astype(np.int64)
    return np.repeat(np.arange(len(wide)), counts), found


def ours(vectors: Vectors, *, lists: int | None, probes: int) -> Pairs:
    """Search the cells of a file."""
    with duckdb.connect() as connection:
        found = list(
            close_pairs(
                connection, vectors, min_cosine=MIN_COSINE, lists=lists, probes=probes, seed=0
            )
        )
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    return left, right


def memory() -> int:
    """Bytes of the process that no file backs."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def measured(work: Callable[[], Pairs]) -> Measured:
    """Do the work; look at the memory every few milliseconds."""
    before, peak, done = memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    left, right = work()
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    low, high = np.minimum(left, right), np.maximum(left, right)
    distinct = np.unique(np.stack([low, high])[:, low < high], axis=1)
    pairs = set(zip(*distinct.tolist(), strict=True))
    return Measured(pairs, seconds, max(0, peak - before) / 1e6)


def dropped_after(rows: Rows, lists: int, shuffle: npt.NDArray[np.int64]) -> set[int]:
    """Shuffle, put into the order of content as the stage does, and name what is dropped."""
    given = rows[shuffle]
    order = np.lexsort(given.view(np.uint16).T)
    pairs = ours(Vectors(given, order), lists=lists, probes=4)
    best = components(len(rows), pairs)
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
    lists = 4 * int(len(rows) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        np.save(file := Path(folder) / "rows.npy", rows)
        vectors = Vectors(np.load(file, mmap_mode="r"), np.arange(len(rows)))
        passed = compare(rows, vectors, truth=truth, copies=copies, lists=lists)
        thin_out(vectors, copies=copies, clusters=lists)
    rng = np.random.default_rng(1)
    verdicts = [dropped_after(rows, lists, rng.permutation(len(rows))) for _ in range(2)]
    same = verdicts[0] == verdicts[1]
    print(f"shuffled twice, {len(verdicts[0])} dropped, the same images: {same}")
    passed &= same
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


def compare(
    rows: Rows,
    vectors: Vectors,
    *,
    truth: npt.NDArray[np.int64],
    copies: set[tuple[int, int]],
    lists: int,
) -> bool:
    """Print a line for each search; return whether they agree where they must."""
    number, dim = rows.shape
    runs = {"product": measured(lambda: product(rows))}
    for probes in (1, 4, 16):
        runs[f"faiss, {probes} probes"] = measured(
            functools.partial(inverted_file, rows, lists=lists, probes=probes)
        )
        runs[f"cells, {probes} probes"] = measured(
            functools.partial(ours, vectors, lists=lists, probes=probes)
        )
    runs["exact"] = measured(lambda: ours(vectors, lists=None, probes=1))
    expected = runs["product"]
    print(f"{number} embeddings of {dim}, {rows.nbytes / 1e6:.0f} MB, {lists} cells, cosine "
          f"{MIN_COSINE}: {len(expected.pairs)} pairs, {len(copies)} planted")  # fmt: skip
    columns = ("CPU-s", "x product", "M pairs/s", "MB", "recall", "of planted", "precision")
    print(f"{'':18}" + "".join(f"{name:>12}" for name in columns))
    for name, run in runs.items():
        groups = components(number, tuple(np.array(sorted(run.pairs)).T))
        right = (truth[groups] == truth)[groups != np.arange(number)].mean()
        found = len(run.pairs & expected.pairs) / len(expected.pairs)
        values = (
            run.seconds, expected.seconds / run.seconds, number**2 / 2e6 / run.seconds,
            run.megabytes, found, len(run.pairs & copies) / len(copies), right,
        )  # fmt: skip
        print(f"{name:18}" + "".join(f"{value:12.4g}" for value in values), flush=True)
    agree = [
        len(runs[f"faiss, {probes} probes"].pairs ^ runs[f"cells, {probes} probes"].pairs)
        for probes in (1, 4, 16)
    ]
    print(f"pairs that only faiss in memory or only the cells on disk have: {agree}")
    return runs["exact"].pairs == expected.pairs and not any(agree)


def thin_out(vectors: Vectors, *, copies: set[tuple[int, int]], clusters: int) -> None:
    """Print what SemDeDup leaves of planted pairs."""
    start = time.process_time()
    with duckdb.connect() as connection:
        found = semdedup(connection, vectors, clusters=clusters, min_cosine=MIN_COSINE, seed=0)
        gone = {int(image) for images, _ in found for image in images}
    both = sum(a not in gone and b not in gone for a, b in copies) / len(copies)
    neither = sum(a in gone and b in gone for a, b in copies) / len(copies)
    print(f"SemDeDup, {clusters} clusters: {len(gone)} dropped in "
          f"{time.process_time() - start:.1f} CPU-s; of planted pairs both stay {both:.4f}, "
          f"neither {neither:.4f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
