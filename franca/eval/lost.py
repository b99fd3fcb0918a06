"""LOST: an object grown from the patch with the fewest like it (Siméoni et al., BMVC 2021)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from franca.eval.benchmark import Benchmark, Outcome
from franca.eval.discovery import BOXES, CORLOC, Grid, component_of, locate
from franca.eval.objects import DiscoveryInputs


@dataclass(frozen=True)
class Growth:
    """One object and how it was found.

    Attributes:
        degree: positively correlated other patches of each patch.
        seed: the patch with the lowest degree, the first of several.
        component: the patches of the object.
    """

    degree: Float[np.ndarray, " patches"]
    seed: int
    component: Bool[np.ndarray, "rows columns"]


def grow(keys: Float[np.ndarray, "patches dim"], *, grid: Grid, similar: int) -> Growth:
    """Find one object.

        A = keys keysᵀ; degree of p = number of other patches q with A[p, q] > 0
        seed = lowest degree; S = the `similar` lowest degrees with A[seed, ·] > 0
        object = 4-connected component of {p: sum over s in S of A[s, p] > 0} that holds the seed

    Args:
        keys: of the last block, heads concatenated, without CLS and registers, not normalised.
        grid: rows and columns of patches.
        similar: patches looked at, 100 in the reference whatever the grid: with fewer patches than
            that the object tends to be the whole image.
    """
    single = keys.astype(np.float32)
    affinity = single @ single.T
    positive = affinity > 0
    degree = (positive.sum(1) - positive.diagonal()).astype(np.float32)
    order = np.argsort(degree, kind="stable")
    seed = int(order[0])
    chosen = order[:similar]
    chosen = chosen[affinity[seed, chosen] > 0]
    likeness = affinity[chosen].sum(0)
    return Growth(degree, seed, component_of((likeness > 0).reshape(grid), seed))


def lost(inputs: DiscoveryInputs, *, seed: int, device: torch.device, similar: int) -> Outcome:
    """Locate one object in every image that has any.

    Args:
        inputs: keys and boxes.
        seed: nothing is random.
        device: the objects grow on the CPU.
        similar: patches looked at.

    Raises:
        ValueError: no image has an object.
    """
    del seed, device
    return locate(inputs, lambda keys, grid: grow(keys, grid=grid, similar=similar).component)


BENCHMARK = Benchmark(
    name="lost",
    version="1.0",
    protocol="one box an image, grown from the last block's key that fewest are like, at the "
    "image's own size, zeros up to whole patches; IoU of at least 0.5 with any object, difficult "
    "ones too",
    source="valeoai/LOST@fcedbec",
    kind="discovery",
    quick=False,
    metrics=(CORLOC,),
    run=lost,
    predictions=BOXES,
)
