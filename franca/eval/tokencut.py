"""TokenCut: one object of an image as a normalised cut of its patch graph (Wang et al., CVPR 2022).

The reference solves the dense generalised problem (D - A) v = λ D v. Its second eigenvector is that
of D^-1/2 A D^-1/2, whose first is known, D^1/2 1: what is left after taking that out is the largest
eigenpair of a matrix of which only products with vectors are needed (Lanczos).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from franca.eval.benchmark import Benchmark, Outcome
from franca.eval.discovery import BOXES, CORLOC, Grid, component_of, locate
from franca.eval.objects import DiscoveryInputs

WEAK_EDGE = 1e-5
_DENSE_PATCHES = 64  # below, all eigenvectors cost less than starting Lanczos
_MIN_GAP = 1e-3  # closer eigenvalues: Lanczos may mix their vectors, dense solvers do not


@dataclass(frozen=True)
class Cut:
    """One object and how it was found.

    Attributes:
        vector: of the cut, the seed's side positive.
        seed: the patch that stands out most, the first of several.
        component: the patches of the object.
    """

    vector: Float[np.ndarray, "rows columns"]
    seed: int
    component: Bool[np.ndarray, "rows columns"]


def patch_graph(keys: Float[np.ndarray, "patches dim"], *, threshold: float) -> NDArray[np.bool_]:
    """Return which pairs of patches have a cosine similarity above the threshold."""
    # In float32, as the reference: another precision decides close calls differently.
    single = keys.astype(np.float32)
    unit = single / np.maximum(np.linalg.norm(single, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T > threshold)


def second_eigenvector(edges: Bool[np.ndarray, "patches patches"]) -> NDArray[np.float64]:
    """Return v of (D - A) v = λ D v with the second smallest λ; v' D v = 1, of either sign.

    Args:
        edges: symmetric; an edge weighs 1, a missing one `WEAK_EDGE`, as the reference.
    """
    if len(edges) > _DENSE_PATCHES and (vector := _by_lanczos(edges)) is not None:
        return vector
    affinity = np.where(edges, 1.0, WEAK_EDGE)
    degree = affinity.sum(1)
    _, vectors = scipy.linalg.eigh(
        np.diag(degree) - affinity, np.diag(degree), subset_by_index=[1, min(2, len(edges) - 1)]
    )
    return np.asarray(vectors[:, 0])


def _by_lanczos(edges: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the vector, or None where the next eigenvalue is too close."""
    strong = edges.astype(np.float64)
    patches = len(strong)
    degree = (1 - WEAK_EDGE) * strong.sum(1) + WEAK_EDGE * patches
    root = np.sqrt(degree)
    first = root / np.linalg.norm(root)

    def deflated(x: NDArray[Any]) -> NDArray[Any]:
        scaled = x.ravel() / root
        product = (1 - WEAK_EDGE) * (strong @ scaled) + WEAK_EDGE * scaled.sum()
        return np.asarray(product / root - first * (first @ x.ravel()))

    operator = LinearOperator((patches, patches), matvec=deflated, dtype=np.float64)
    start = np.cos(np.arange(patches))  # the same on every run, and not orthogonal to anything
    try:
        values, vectors = eigsh(operator, k=2, which="LA", v0=start)
    except ArpackError:
        return None
    order = np.argsort(values)[::-1]
    if values[order[0]] - values[order[1]] < _MIN_GAP * max(abs(values[order[0]]), _MIN_GAP):
        return None
    return np.asarray(vectors[:, order[0]] / root)


def cut(keys: Float[np.ndarray, "patches dim"], *, grid: Grid, threshold: float) -> Cut:
    """Find one object.

        v = second eigenvector of the patch graph's normalised cut
        seed = patch with the largest |v|
        foreground = {v > mean v} or its complement, whichever holds the seed
        object = 4-connected component of the foreground that holds the seed

    Args:
        keys: of the last block, heads concatenated, without CLS and registers.
        grid: rows and columns of patches.
        threshold: on the cosine (tau of the paper).
    """
    vector = second_eigenvector(patch_graph(keys, threshold=threshold))
    foreground = vector > vector.mean()
    size = np.abs(vector)
    # Like patches have like values up to rounding: the first of them, on every machine.
    seed = int(np.flatnonzero(size >= size.max() * (1 - 1e-9))[0])
    if not foreground[seed]:
        vector, foreground = -vector, ~foreground
    return Cut(vector.reshape(grid), seed, component_of(foreground.reshape(grid), seed))


def tokencut(
    inputs: DiscoveryInputs, *, seed: int, device: torch.device, threshold: float
) -> Outcome:
    """Locate one object in every image that has any.

    Args:
        inputs: keys and boxes.
        seed: nothing is random.
        device: graphs are cut on the CPU.
        threshold: on the cosine of keys.

    Raises:
        ValueError: no image has an object.
    """
    del seed, device
    return locate(inputs, lambda keys, grid: cut(keys, grid=grid, threshold=threshold).component)


BENCHMARK = Benchmark(
    name="tokencut",
    version="1.0",
    protocol="one box an image: normalised cut of the last block's keys at the image's own size, "
    "zeros up to whole patches; 4-connected side that holds the seed; IoU of at least 0.5 with any "
    "object, difficult ones too",
    source="YangtaoWANG95/TokenCut@fed52cd, by Lanczos; Franca, Table 3b",
    kind="discovery",
    quick=False,
    metrics=(CORLOC,),
    run=tokencut,
    predictions=BOXES,
)
