"""Training images that an evaluation set holds are found, with the strictest reason."""

import numpy as np

from data_filters.dedup.leakage import REASONS, Signatures, find_leaks


def signatures(*rows):
    sha256, pixels, perceptual, contrast = zip(*rows, strict=True) if rows else ([],) * 4
    return Signatures(
        np.array(sha256, np.str_),
        np.array(pixels, np.str_),
        np.array(perceptual, np.uint64),
        np.array(contrast, np.float32),
    )


DULL = 0xFFFF_FFFF << 20
EVALUATION = signatures(
    ("a", "p", 0b1111, 30), ("b", "q", 0, 30), ("c", "q", 2**63, 30), ("d", "r", DULL, 1)
)
FAR = 2**50 - 1


def found(training, radius=1):
    leaks = find_leaks(training, EVALUATION, radius=radius, min_contrast=5.0)
    names = [REASONS[reason] for reason in leaks.reasons]
    return list(zip(leaks.images.tolist(), names, leaks.matches.tolist(), strict=True))


def test_reasons():
    training = signatures(
        ("x", "x", FAR, 30),  # nothing
        ("b", "q", 0, 30),  # everything: the bytes count
        ("y", "q", FAR, 30),  # pixels of two: the first
        ("z", "z", 0b0111, 30),  # one bit off
        ("w", "w", 0b0011, 30),  # two bits off
        ("v", "v", 0b1111, 2),  # a hash that means nothing
        ("u", "u", DULL, 30),  # like one whose hash means nothing
    )
    assert found(training) == [
        (1, "same_bytes", 1), (2, "same_pixels", 1), (3, "near_duplicate", 0),
    ]  # fmt: skip
    assert found(training, radius=None) == [(1, "same_bytes", 1), (2, "same_pixels", 1)]


def test_nothing_leaks_into_nothing():
    nothing = find_leaks(EVALUATION, signatures(), radius=3, min_contrast=0.0)
    assert nothing.images.tolist() == []
    assert found(signatures()) == []
