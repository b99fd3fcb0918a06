"""Groups of copies: each criterion adds to the one before."""

import numpy as np

from data_filters.dedup.leakage import Signatures
from data_filters.dedup.levels import group_copies

FAR = 2**40 - 1


def levels(similar=None, *, radius=1, mirrored=False):
    signatures = Signatures(
        sha256=np.array(list("aabcdefg"), "S16"),
        pixels=np.array(list("ppppqrst"), "S16"),
        #                   a     a     b     c     d       e     f         g
        perceptual=np.array([0, 0, 0, 0, 1, FAR, FAR << 24, FAR << 12], np.uint64),
        mirrored=np.array([7, 7, 7, 7, 7, FAR << 24, FAR, 1], np.uint64),
        contrast=np.array([9, 9, 9, 9, 9, 9, 9, 1], np.float32),
        embeddings=None,
    )
    return {
        reason: groups.tolist()
        for reason, groups in group_copies(
            signatures, radius=radius, min_contrast=5.0, mirrored=mirrored, similar=similar
        ).items()
    }


def test_bytes_pixels_looks():
    assert levels() == {
        "same_bytes": [0, 0, 2, 3, 4, 5, 6, 7],
        "same_pixels": [0, 0, 0, 0, 4, 5, 6, 7],
        "near_duplicate": [0, 0, 0, 0, 0, 5, 6, 7],
    }
    assert list(levels(radius=None)) == ["same_bytes", "same_pixels"]


def test_mirror_images_join_where_configured_and_dull_ones_do_not():
    assert levels(mirrored=True)["near_duplicate"] == [0, 0, 0, 0, 0, 5, 5, 7]


def test_meaning_comes_last_and_contains_all():
    similar = (np.array([4, 6]), np.array([5, 7]))
    found = levels(similar)
    assert list(found)[-1] == "semantic_duplicate"
    assert found["semantic_duplicate"] == [0, 0, 0, 0, 0, 0, 6, 6]
