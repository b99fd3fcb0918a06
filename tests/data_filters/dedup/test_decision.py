"""Verdicts on all images at once."""

import numpy as np

from data_filters.dedup.decision import Decision
from data_filters.dedup.leakage import Leaks
from data_filters.dedup.selection import Dropped

ROW_IDS = np.array([f"row{index}" for index in range(6)])
LEVELS = {
    "same_bytes": np.array([0, 0, 2, 3, 4, 5]),
    "near_duplicate": np.array([0, 0, 0, 3, 3, 5]),
}
RANKS = np.array([1, 0, 2, 4, 3, 5])


def decided():
    decision = Decision.keep_all(6)
    decision.drop_copies(LEVELS, RANKS, ROW_IDS)
    return decision


def rows(decision):
    return list(zip(*decision, strict=True))


def test_each_copy_names_the_one_that_stays():
    assert rows(decided()) == [
        ("duplicates", "same_bytes", "row1"), (None,) * 3, ("duplicates", "near_duplicate", "row1"),
        ("duplicates", "near_duplicate", "row4"), (None,) * 3, (None,) * 3,
    ]  # fmt: skip
    assert decided().left().tolist() == [1, 4, 5]


def test_a_leak_takes_its_group_along_and_outweighs_a_duplicate():
    decision = decided()
    decision.drop(Dropped(np.array([5]), np.array([4])), "semantic_duplicate", ROW_IDS)
    leaks = Leaks(np.array([2]), np.array([1]), np.array([0]))
    decision.drop_leaks(leaks, LEVELS["near_duplicate"], row_ids=ROW_IDS, places=["set: a.jpg"])
    leaked = ("evaluation_sets", "copy_of_leak", "row2")
    assert rows(decision) == [
        leaked, leaked, ("evaluation_sets", "same_pixels", "set: a.jpg"),
        ("duplicates", "near_duplicate", "row4"), (None,) * 3,
        ("duplicates", "semantic_duplicate", "row4"),
    ]  # fmt: skip
