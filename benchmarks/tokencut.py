"""Claim: TokenCut by Lanczos finds the boxes of the dense solver in at most a fifth of its time.

    OMP_NUM_THREADS=1 python benchmarks/tokencut.py [--rows 30] [--columns 40] [--images 8]

Keys of a made-up image: a background that changes across it, one object, noise. The dense form
solves (D - A) v = λ D v as the reference does, `scipy.linalg.eigh` for the second and third
eigenpair; both forms include the graph. Process CPU time, forms interleaved, median of paired
ratios.

Exits with 1 when a box differs or the median ratio is below 5.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from franca.eval import tokencut
from franca.eval.discovery import Grid, component_box, component_of

TARGET = 5.0
DIM, PATCH, TAU = 384, 14, 0.2
Array = NDArray[np.float64]


def keys_of(seed: int, *, grid: Grid) -> Array:
    """Draw keys: places far apart are less alike, and a rectangle is like nothing else."""
    rng = np.random.default_rng(seed)
    rows, columns = (axis.ravel() for axis in np.indices(grid))
    top, left = rng.integers(0, grid[0] // 2), rng.integers(0, grid[1] // 2)
    height, width = (
        rng.integers(grid[0] // 5, grid[0] // 2),
        rng.integers(grid[1] // 5, grid[1] // 2),
    )
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    turn = rng.uniform(0.5, 1.5) * np.pi * columns / grid[1] + rows / grid[0]
    directions = np.linalg.qr(rng.normal(size=(DIM, 3)))[0].T
    background = np.cos(turn)[:, None] * directions[0] + np.sin(turn)[:, None] * directions[1]
    keys = np.where(inside[:, None], directions[2] + 0.3 * background, background)
    noisy: Array = keys + 0.04 * rng.normal(size=keys.shape)
    return noisy


def dense(keys: Array, *, grid: Grid) -> NDArray[np.bool_]:
    """Find the object as the reference does."""
    affinity = np.where(tokencut.patch_graph(keys, threshold=TAU), 1.0, tokencut.WEAK_EDGE)
    degree = np.diag(affinity.sum(1))
    _, vectors = scipy.linalg.eigh(degree - affinity, degree, subset_by_index=[1, 2])
    vector = vectors[:, 0]
    foreground = vector > vector.mean()
    seed = int(np.argmax(np.abs(vector)))
    foreground = foreground if foreground[seed] else ~foreground
    return component_of(foreground.reshape(grid), seed)


def lanczos(keys: Array, *, grid: Grid) -> NDArray[np.bool_]:
    """Find the object with ours."""
    return tokencut.cut(keys, grid=grid, threshold=TAU).component


def timed(
    form: Callable[..., NDArray[np.bool_]], keys: Array, *, grid: Grid
) -> tuple[float, Array]:
    """Return seconds and the box."""
    start = time.process_time()
    component = form(keys, grid=grid)
    seconds = time.process_time() - start
    size = grid[0] * PATCH, grid[1] * PATCH
    return seconds, component_box(component, patch_size=PATCH, size=size)


def main() -> int:
    """Print every image and the median ratio; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=30, help="of patches")
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--images", type=int, default=8)
    arguments = parser.parse_args()
    grid = arguments.rows, arguments.columns
    ratios, same = [], True
    lanczos(keys_of(0, grid=grid), grid=grid)  # what is loaded at the first call is not timed
    for seed in range(arguments.images):
        keys = keys_of(seed, grid=grid)
        (fast, box), (slow, expected) = (timed(form, keys, grid=grid) for form in (lanczos, dense))
        same &= np.array_equal(box, expected)
        ratios.append(slow / fast)
        print(
            f"image {seed}: dense {1e3 * slow:6.0f} ms, Lanczos {1e3 * fast:5.0f} ms, "
            f"ratio {slow / fast:5.1f}, boxes {box.astype(int)} {expected.astype(int)}"
        )
    ratio = statistics.median(ratios)
    patches = grid[0] * grid[1]
    print(f"{patches:,} patches: median ratio {ratio:.1f} (target {TARGET:g}), same boxes: {same}")
    return int(not same or ratio < TARGET)


if __name__ == "__main__":
    sys.exit(main())
