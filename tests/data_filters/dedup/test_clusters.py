"""Components: independent of the order of edges, named by their smallest node."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_filters.dedup.clusters import components, edges_of_equal

NODES = 12
EDGES = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=20)


def by_flooding(edges):
    names = list(range(NODES))
    for _ in range(NODES):
        for a, b in edges:
            names[a] = names[b] = min(names[a], names[b])
    return names


def arrays(edges):
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    return left, right


@given(EDGES, st.randoms(use_true_random=False))
def test_components_equal_flooding_in_any_order(edges, random):
    expected = by_flooding(edges)
    random.shuffle(edges)
    turned = [(b, a) if random.random() < 0.5 else (a, b) for a, b in edges]
    cut = len(turned) // 2
    parts = [arrays(turned[:cut]), arrays(turned[cut:])]
    assert components(NODES, parts).tolist() == expected


def test_equal_values_become_one_component():
    values = np.array(["b", "a", "b", "c", "a", "b"])
    assert components(6, [edges_of_equal(values)]).tolist() == [0, 1, 0, 3, 1, 0]
    assert components(3, []).tolist() == [0, 1, 2]
