"""What stays is the best of its group, whatever the order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_filters.dedup.selection import Quality, best_of_groups, select


def quality(rows):
    area, size, sha256, row_id = zip(*rows, strict=True)
    return Quality(np.array(area), np.array(size), np.array(sha256), np.array(row_id))


def test_larger_wins_then_less_compressed_then_the_smaller_hash():
    rows = [
        (100, 50, "a", "r0"),
        (400, 20, "b", "r1"),
        (400, 30, "d", "r2"),
        (400, 30, "c", "r4"),
        (400, 30, "c", "r3"),
    ]
    assert quality(rows).ranks().tolist() == [4, 3, 2, 1, 0]


def test_criteria_drop_one_after_the_other():
    exact, looks = np.array([0, 0, 2, 3, 3]), np.array([0, 0, 0, 3, 3])
    ranks = np.array([1, 2, 0, 4, 3])
    first, second = select([exact, looks], ranks)
    assert (first.images.tolist(), first.kept.tolist()) == ([1, 3], [0, 4])
    assert (second.images.tolist(), second.kept.tolist()) == ([0], [2])


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from("abc"), st.integers(0, 2)),
        min_size=1,
        max_size=15,
    ),
    st.randoms(use_true_random=False),
)
def test_order_changes_nothing(rows, random):
    def survivors(rows):
        ranks = quality([(a, s, sha, f"{n:02}") for n, (a, s, sha, _) in rows]).ranks()
        groups = np.array([group for _, (*_, group) in rows])
        names = {group: index for index, group in reversed(list(enumerate(groups.tolist())))}
        best = best_of_groups(np.array([names[group] for group in groups.tolist()]), ranks)
        return {rows[index][0] for index in best}

    named = list(enumerate(rows))
    expected = survivors(named)
    random.shuffle(named)
    assert survivors(named) == expected
    assert len(expected) == len({group for *_, group in rows})
