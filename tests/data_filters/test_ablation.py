"""What each filter does beside the others, against counting row by row."""

from collections import Counter

import numpy as np

from data_filters.ablation import Objector, ablation

RULES = [Objector("size", "missing"), Objector("size", "small"), Objector("text", "short"),
         Objector("safe", "unsafe")]  # fmt: skip
FILTERS = ["size", "text", "empty", "safe"]


def test_it_counts_what_a_loop_over_rows_counts():
    masks = np.random.default_rng(0).integers(0, 16, 500).tolist()
    found = ablation(RULES, Counter(masks), filters=FILTERS)
    objecting = [{RULES[bit].filter for bit in range(4) if mask >> bit & 1} for mask in masks]
    assert found["rows"] == 500
    for number, effect in enumerate(found["filters"]):
        name = FILTERS[number]
        assert effect["filter"] == name
        assert effect["alone"] == sum(name in each for each in objecting)
        assert effect["only"] == sum({name} == each for each in objecting)
        earlier = set(FILTERS[:number])
        assert effect["in_sequence"] == sum(
            name in each and not earlier & each for each in objecting
        )
        for other, rows in zip(FILTERS, found["overlap"][number], strict=True):
            assert rows == sum({name, other} <= each for each in objecting)
    assert [rule["rows"] for rule in found["rules"]] == [
        sum(mask >> bit & 1 for mask in masks) for bit in range(4)
    ]


def test_filters_without_rules_do_nothing():
    found = ablation([], {0: 7}, filters=["size"])
    assert found["filters"] == [{"filter": "size", "alone": 0, "in_sequence": 0, "only": 0}]
    assert (found["rows"], found["overlap"]) == (7, [[0]])
