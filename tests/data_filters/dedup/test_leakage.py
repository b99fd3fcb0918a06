"""Training images that an evaluation set holds are found, with the strictest reason."""

import numpy as np

from data_filters.dedup.leakage import REASONS, Evaluation, LeakFinder, Signatures

DULL = 0xFFFF_FFFF << 20


def signatures(*rows):
    sha256, pixels, perceptual, contrast, *rest = zip(*rows, strict=True) if rows else ([],) * 4
    mirrored = rest[0] if rest else [DULL] * len(rows)
    return Signatures(
        np.array(sha256, "S16"),
        np.array(pixels, "S16"),
        np.array(perceptual, np.uint64),
        np.array(mirrored, np.uint64),
        np.array(contrast, np.float32),
        None,
    )


EVALUATION = signatures(
    ("a", "p", 0b1111, 30), ("b", "q", 0, 30), ("c", "q", 2**63, 30), ("d", "r", DULL, 1)
)
FAR = 2**50 - 1


def found(training, evaluation=EVALUATION, *more, radius=1, min_cosine=None):
    looks = np.stack([evaluation.perceptual, *more], axis=1)
    finder = LeakFinder(
        Evaluation(evaluation, looks, None), radius=radius, min_contrast=5.0, min_cosine=min_cosine
    )
    leaks = finder.find(training)
    assert [one.tolist() for one in finder.find(training)] == [one.tolist() for one in leaks]
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
    assert found(EVALUATION, signatures(), radius=3) == []
    assert found(signatures()) == []


def test_an_image_is_recognised_by_any_of_its_hashes():
    evaluation = signatures(("a", "p", 0b1111, 30, FAR << 14), ("b", "q", FAR, 30, 0b1))
    training = signatures(
        ("x", "x", FAR << 14, 30),  # the first, mirrored
        ("y", "y", 0b11, 30),  # one bit off the second, mirrored
        ("z", "z", FAR ^ 1, 30),  # the second as it is
    )
    assert found(training, evaluation) == [(2, "near_duplicate", 1)]
    assert found(training, evaluation, evaluation.mirrored) == [
        (0, "near_duplicate", 0), (1, "near_duplicate", 1), (2, "near_duplicate", 1),
    ]  # fmt: skip


def test_close_embeddings_leak_for_the_least_strict_reason():
    def embedded(rows, *vectors):
        return signatures(*rows)._replace(embeddings=np.array(vectors, np.float16))

    evaluation = embedded([("a", "p", 0, 30), ("b", "q", FAR, 30)], [1, 0, 0], [0, 1, 0])
    training = embedded(
        [("x", "x", DULL, 30), ("y", "y", FAR, 30), ("z", "z", DULL, 30)],
        [0.6, 0.8, 0], [1, 0, 0], [0, 0, 1],
    )  # fmt: skip
    assert found(training, evaluation, min_cosine=0.75) == [
        (0, "semantic_duplicate", 1), (1, "near_duplicate", 1),
    ]  # fmt: skip
    assert found(training, evaluation, min_cosine=0.85) == [(1, "near_duplicate", 1)]


def test_a_hash_of_just_the_least_contrast_is_compared():
    one = signatures(("a", "p", 0b1111, 5))
    assert found(signatures(("x", "x", 0b1111, 5)), one) == [(0, "near_duplicate", 0)]
    less = np.nextafter(np.float32(5), np.float32(0))
    assert found(signatures(("x", "x", 0b1111, less)), one) == []
    assert found(one, signatures(("x", "x", 0b1111, less))) == []
