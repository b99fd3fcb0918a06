"""Groups of images: the connected components of a graph whose edges say "the same"."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


def edges_of_equal(values: npt.NDArray[Value]) -> tuple[Indices, Indices]:
    """Join equal values in a chain: as few edges as make them one component."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    return order[again], order[again + 1]


def components(size: int, edges: Iterable[tuple[Indices, Indices]]) -> Indices:
    """Return the component of each node, named by its smallest node.

    Args:
        size: Number of nodes.
        edges: Pairs of node arrays; direction and order do not matter.
    """
    # imported here: a second that other stages need not pay
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    none = np.zeros(0, np.int64)
    left, right = (np.concatenate(side) for side in zip((none, none), *edges, strict=True))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    smallest: Indices = np.full(size, size, np.int64)
    np.minimum.at(smallest, labels, np.arange(size))
    named: Indices = smallest[labels]
    return named
