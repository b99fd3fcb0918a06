"""Components: independent of the order of edges, named by their smallest node."""

import duckdb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_filters.dedup.components import EDGES, add_pairs, components, contract

NODES = 12
PAIRS = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=20)


def by_flooding(pairs, nodes=NODES):
    names = list(range(nodes))
    for _ in range(nodes):
        for a, b in pairs:
            names[a] = names[b] = min(names[a], names[b])
    return names


def arrays(pairs):
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return left, right


def contracted(connection, parts):
    connection.execute(EDGES)
    for part in parts:
        add_pairs(connection, *arrays(part))
    contract(connection)
    return dict(connection.sql("SELECT big, small FROM edges").fetchall())


@given(PAIRS)
def test_components_in_memory_equal_flooding(pairs):
    assert components(NODES, arrays(pairs)).tolist() == by_flooding(pairs)


@settings(deadline=None, max_examples=60)
@given(PAIRS, st.randoms(use_true_random=False))
def test_contracting_equals_flooding_in_any_order(pairs, random):
    expected = {node: first for node, first in enumerate(by_flooding(pairs)) if node != first}
    random.shuffle(pairs)
    turned = [(b, a) if random.random() < 0.5 else (a, b) for a, b in pairs]
    with duckdb.connect() as connection:
        singly = [[pair] for pair in turned]  # nothing is joined before it is in the database
        assert contracted(connection, singly) == expected


def test_a_long_chain_in_a_random_order_is_one_component():
    """The worst case for what spreads the smallest name from neighbour to neighbour."""
    nodes = np.random.default_rng(0).permutation(2000)
    with duckdb.connect() as connection:
        connection.execute(EDGES)
        low, high = np.minimum(nodes[1:], nodes[:-1]), np.maximum(nodes[1:], nodes[:-1])
        connection.register("chain", {"big": high, "small": low})
        connection.execute("INSERT INTO edges SELECT big, small FROM chain")
        contract(connection)
        found = connection.sql("SELECT count(*), min(small), max(small) FROM edges").fetchall()
    assert found == [(1999, 0, 0)]


def test_many_pairs_of_few_nodes_are_few_edges():
    with duckdb.connect() as connection:
        connection.execute(EDGES)
        every = np.triu_indices(100)
        add_pairs(connection, *every)
        assert connection.sql("SELECT count(*) FROM edges").fetchall() == [(99,)]
