"""Verdicts on all images: what stays is the best of its group, whatever the order."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from data_filters.dedup.components import add_pairs, contract
from data_filters.dedup.decision import (
    add_leaks,
    by_content,
    counts,
    drop_copies,
    drop_pairs,
    explain,
    verdicts,
)
from data_filters.dedup.leakage import REASONS, Leaks
from data_filters.io.parquet import num_rows
from data_filters.records import VERDICT

PLACES = pa.array(["set: b.jpg", "set: a.jpg"])
KEPT = (None,) * 3


def join(connection, *pairs, reason):
    add_pairs(connection, *np.array(pairs, np.int64).T)
    contract(connection)
    drop_copies(connection, reason=reason)


def name(text):
    return text.encode().ljust(16).hex()


def rows(connection, files):
    batches, stop = [], 0
    for file in files:
        places = range(stop, stop + num_rows(file))
        batches += verdicts(connection, file, places)
        stop = places.stop
    every = pa.Table.from_batches(batches).cast(VERDICT).to_pylist()
    assert [row["row_id"] for row in every] == [name(f"r{place}") for place in range(len(every))]
    whys = [(row["filter"], row["reason"], row["detail"]) for row in every]
    assert [row["kept"] for row in every] == [why == KEPT for why in whys]
    return whys


def test_each_copy_names_the_one_that_stays_by_the_strictest_criterion(opened):
    images = [{"area": area} for area in (8, 9, 7, 5, 6, 4)]
    with opened(images[:4], [], images[4:]) as (connection, files):
        join(connection, (0, 1), reason="same_bytes")
        join(connection, (1, 2), (4, 3), reason="near_duplicate")
        for without, left in {
            REASONS: [1, 4, 5], ("same_bytes",): [1, 2, 3, 4, 5], ("semantic",): [*range(6)],
        }.items():  # fmt: skip
            order = by_content(connection, files[0].with_suffix(".npy"), without=without)
            assert order.tolist() == left
        drop_pairs(connection, np.array([5]), np.array([4]), reason="semantic_duplicate")
        explain(connection, PLACES)
        assert rows(connection, files) == [
            ("duplicates", "same_bytes", name("r1")), KEPT,
            ("duplicates", "near_duplicate", name("r1")),
            ("duplicates", "near_duplicate", name("r4")), KEPT,
            ("duplicates", "semantic_duplicate", name("r4")),
        ]  # fmt: skip


def test_a_leak_takes_its_group_along_and_outweighs_a_duplicate(opened):
    with opened([{"area": area} for area in (8, 9, 7, 5, 6, 4)]) as (connection, files):
        join(connection, (0, 1), (1, 2), (4, 3), reason="near_duplicate")
        drop_pairs(connection, np.array([5]), np.array([4]), reason="semantic_duplicate")
        add_leaks(connection, Leaks(np.array([1]), np.array([1]), np.array([1])), first=1)
        add_leaks(connection, Leaks(np.array([0]), np.array([0]), np.array([0])), first=5)
        explain(connection, PLACES)
        linked = ("evaluation_sets", "copy_of_leak", name("r2"))
        assert rows(connection, files) == [
            linked, linked, ("evaluation_sets", "same_pixels", "set: a.jpg"),
            ("duplicates", "near_duplicate", name("r4")), KEPT,
            ("evaluation_sets", "same_bytes", "set: b.jpg"),
        ]  # fmt: skip
        assert counts(connection) == [
            ("duplicates", "near_duplicate", 1), ("evaluation_sets", "copy_of_leak", 2),
            ("evaluation_sets", "same_bytes", 1), ("evaluation_sets", "same_pixels", 1),
        ]  # fmt: skip


def test_the_order_by_content_is_that_of_hashes_then_of_names(opened):
    images = [{"sha256": text} for text in "cabb"]
    images[2]["row_id"], images[3]["row_id"] = "r9", "r8"
    with opened(images[:2], images[2:]) as (connection, files):
        order = by_content(connection, files[0].with_suffix(".npy"), without=REASONS)
        assert order.tolist() == [1, 3, 2, 0]


def test_copies_of_several_leaks_go_for_the_first_of_them(opened):
    with opened([{"area": area} for area in (8, 9, 7)]) as (connection, files):
        join(connection, (0, 1), (1, 2), reason="near_duplicate")
        add_leaks(connection, Leaks(np.array([1, 2]), np.zeros(2, int), np.array([0, 1])), first=0)
        explain(connection, PLACES)
        assert rows(connection, files) == [
            ("evaluation_sets", "copy_of_leak", name("r1")),
            ("evaluation_sets", "same_bytes", "set: b.jpg"),
            ("evaluation_sets", "same_bytes", "set: a.jpg"),
        ]


RANKED = (
    {"row_id": "r3", "area": 400, "size": 30, "sha256": "c"},
    {"row_id": "r4", "area": 400, "size": 30, "sha256": "c"},
    {"row_id": "r2", "area": 400, "size": 30, "sha256": "d"},
    {"row_id": "r1", "area": 400, "size": 20, "sha256": "a"},
    {"row_id": "r0", "area": 100, "size": 50, "sha256": "b"},
)
"""Best first: larger wins, then less compressed, then the smaller hash, then the smaller name."""


@pytest.mark.parametrize("left_out", range(len(RANKED)))
def test_which_stays_does_not_depend_on_the_order(opened, left_out):
    images = [image for place, image in enumerate(RANKED) if place != left_out]
    for order in list(itertools.permutations(images))[::5]:
        with opened(order) as (connection, files):
            join(connection, *itertools.pairwise(range(len(order))), reason="same_bytes")
            (kept,) = by_content(connection, files[0].with_suffix(".npy"), without=REASONS)
            assert order[kept] == images[0]
