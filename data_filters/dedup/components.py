"""Connected components: of a few pairs in memory, of any number of them in a database that spills.

A graph is a table `edges (big, small)` of nodes that are the same. `contract` turns it into stars:
every node but the smallest of its component is joined to that one, and to nothing else.
"""

from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Indices = npt.NDArray[np.int64]

EDGES: Final = "CREATE TEMP TABLE edges (big BIGINT, small BIGINT)"

_UNFINISHED: Final = """
SELECT count(*) > count(DISTINCT big) OR bool_or(small IN (SELECT big FROM edges)) FROM edges
"""
"""Whether some node is joined to several others, or to one that is itself joined to another."""

_LARGE_STAR: Final = """
SELECT DISTINCT edges.big, least.small
FROM edges JOIN (
    SELECT node, least(node, min(other)) AS small
    FROM (SELECT big AS node, small AS other FROM edges UNION ALL SELECT small, big FROM edges)
    GROUP BY node
) AS least ON edges.small = least.node
"""
"""Every node joins its larger neighbours to the smallest of itself and its neighbours."""

_SMALL_STAR: Final = """
WITH least AS (SELECT big, min(small) AS small FROM edges GROUP BY big)
SELECT big, small FROM least
UNION
SELECT edges.small, least.small
FROM edges JOIN least USING (big) WHERE edges.small > least.small
"""
"""Every node joins its smaller neighbours, and itself, to the smallest of them."""


def contract(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace the table `edges` by the stars of its components.

    The alternating algorithm of Kiveris et al., "Connected Components in MapReduce and Beyond"
    (SoCC 2014): both steps keep what is connected connected, and their only fixed points are stars.
    """
    while connection.sql(_UNFINISHED).fetchall()[0][0]:
        for step in (_LARGE_STAR, _SMALL_STAR):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE edges AS {step}")


def add_pairs(connection: duckdb.DuckDBPyConnection, left: Indices, right: Indices) -> None:
    """Add pairs of nodes to the table `edges`: no more edges than nodes, however many pairs."""
    if len(left) == 0:
        return
    nodes, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    first = components(len(nodes), (places[: len(left)], places[len(left) :]))
    joined = np.flatnonzero(first != np.arange(len(nodes)))
    pairs = pa.table({"big": nodes[joined], "small": nodes[first[joined]]})
    connection.register("pairs", pairs)
    connection.execute("INSERT INTO edges SELECT big, small FROM pairs")
    connection.unregister("pairs")


def components(size: int, pairs: tuple[Indices, Indices]) -> Indices:
    """Return the component of each node, named by its smallest node.

    Args:
        size: Number of nodes.
        pairs: Nodes that are joined; direction and order do not matter.
    """
    # imported here: a second that other stages need not pay
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    smallest: Indices = np.full(size, size, np.int64)
    np.minimum.at(smallest, labels, np.arange(size))
    named: Indices = smallest[labels]
    return named
