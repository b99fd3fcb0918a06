"""Verdicts on all images at once."""

import numpy as np
import pyarrow as pa

from data_filters.dedup.decision import Decision
from data_filters.dedup.digests import to_digests
from data_filters.dedup.leakage import Leaks
from data_filters.dedup.selection import Dropped
from data_filters.records import VERDICT

NAMES = [f"{index:032x}" for index in range(6)]
ROW_IDS = to_digests(pa.array(NAMES))
PLACES = pa.array(["set: b.jpg", "set: a.jpg"])
LEVELS = {
    "same_bytes": np.array([0, 0, 2, 3, 4, 5]),
    "near_duplicate": np.array([0, 0, 0, 3, 3, 5]),
}
RANKS = np.array([1, 0, 2, 4, 3, 5])
KEPT = (None,) * 3


def decided():
    decision = Decision.keep_all(6)
    decision.drop_copies(LEVELS, RANKS)
    return decision


def rows(decision, places=slice(0, 6)):
    table = decision.verdicts(places, ROW_IDS, PLACES)
    assert table.cast(VERDICT).column("row_id").to_pylist() == NAMES[places]
    whys = [(row["filter"], row["reason"], row["detail"]) for row in table.to_pylist()]
    assert table["kept"].to_pylist() == [why == KEPT for why in whys]
    return whys


def test_each_copy_names_the_one_that_stays():
    expected = [
        ("duplicates", "same_bytes", NAMES[1]), KEPT, ("duplicates", "near_duplicate", NAMES[1]),
        ("duplicates", "near_duplicate", NAMES[4]), KEPT, KEPT,
    ]  # fmt: skip
    assert rows(decided()) == expected
    assert rows(decided(), slice(2, 4)) == expected[2:4]
    assert decided().left().tolist() == [1, 4, 5]


def test_a_leak_takes_its_group_along_and_outweighs_a_duplicate():
    decision = decided()
    decision.drop(Dropped(np.array([5]), np.array([4])), "semantic_duplicate")
    leaks = Leaks(np.array([2]), np.array([1]), np.array([1]))
    decision.drop_leaks(leaks, LEVELS["near_duplicate"])
    leaked = ("evaluation_sets", "copy_of_leak", NAMES[2])
    assert rows(decision) == [
        leaked, leaked, ("evaluation_sets", "same_pixels", "set: a.jpg"),
        ("duplicates", "near_duplicate", NAMES[4]), KEPT,
        ("duplicates", "semantic_duplicate", NAMES[4]),
    ]  # fmt: skip
