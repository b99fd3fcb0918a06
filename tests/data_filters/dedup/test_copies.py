"""Images with equal digests or close hashes are joined, however many are looked at at a time."""

import numpy as np
import pytest

from data_filters.dedup.components import contract
from data_filters.dedup.copies import join_alike, join_equal, worth_comparing

PLENTY = 10**9


def groups(connection, number):
    contract(connection)
    firsts = dict(connection.sql("SELECT big, small FROM edges").fetchall())
    return [firsts.get(place, place) for place in range(number)]


@pytest.mark.parametrize("max_bytes", [PLENTY, 20])
def test_equal_values_in_any_group_become_one(opened, max_bytes):
    images = [{"sha256": letter, "contrast": place} for place, letter in enumerate("bababc")]
    with opened(images[:2], [], images[2:]) as (connection, files):
        join_equal(connection, files, column="sha256", max_bytes=max_bytes)
        assert groups(connection, 6) == [0, 1, 0, 1, 0, 5]
    with opened(images) as (connection, files):
        worth = worth_comparing(1)
        join_equal(connection, files, column="sha256", condition=worth, max_bytes=max_bytes)
        assert groups(connection, 6) == [0, 1, 2, 1, 2, 5]


def flipped(hashes, rng, bits):
    for _ in range(bits):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64))
    return hashes


def by_comparing_all(images, *, radius, mirrored):
    names = list(range(len(images)))

    def close(a, b):
        return (a ^ b).bit_count() <= radius

    for _ in images:
        for i, one in enumerate(images):
            for j, other in enumerate(images):
                alike = close(one["perceptual"], other["perceptual"]) or (
                    mirrored and close(one["perceptual"], other["mirrored"])
                )
                if alike and one["contrast"] >= 5 and other["contrast"] >= 5:
                    names[i] = names[j] = min(names[i], names[j])
    return names


@pytest.mark.parametrize("max_bytes", [PLENTY, 700])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("radius", [0, 2, 6])
def test_close_hashes_are_joined(opened, radius, mirrored, max_bytes):
    """Copies of copies with a few bits changed, some mirrored, some too dull, some equal."""
    rng = np.random.default_rng(radius)
    looks = rng.integers(0, 2**64, 10, dtype=np.uint64)
    looks = np.concatenate([looks, looks, flipped(looks, rng, 2), flipped(looks, rng, 6)])
    turned = rng.permutation(np.concatenate([looks[:20], ~looks[:20]]))
    images = [
        {"perceptual": int(a), "mirrored": int(b), "contrast": 1.0 if place % 7 == 0 else 5.0}
        for place, (a, b) in enumerate(zip(rng.permutation(looks), turned, strict=True))
    ]
    how = {"radius": radius, "min_contrast": 5.0, "mirrored": mirrored}
    with opened(images[:25], images[25:]) as (connection, files):
        worth = worth_comparing(5.0)
        join_equal(connection, files, column="perceptual", condition=worth, max_bytes=max_bytes)
        join_alike(connection, files, **how, max_bytes=max_bytes)
        found = groups(connection, len(images))
    expected = by_comparing_all(images, radius=radius, mirrored=mirrored)
    assert found == expected
    assert len(set(expected)) < len(expected) - 5
