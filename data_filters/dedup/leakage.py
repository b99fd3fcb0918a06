"""Which training images an evaluation set already holds."""

from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.dedup.hamming import pairs_between
from data_filters.dedup.neighbours import Indices, best_matches

BYTES, PIXELS, LOOKS, MEANING = "same_bytes", "same_pixels", "near_duplicate", "semantic_duplicate"
REASONS: Final = (BYTES, PIXELS, LOOKS, MEANING)
"""Why two images are one, strictest first."""


class Signatures(NamedTuple):
    """Signatures of many images, one entry each.

    Attributes:
        sha256: Of the bytes.
        pixels: Of the decoded pixels.
        perceptual: 64-bit hash.
        mirrored: 64-bit hash of the mirror image.
        contrast: What the hashes are worth, grey levels.
        embeddings: Of length one, [images, dim]; None where there are none.
    """

    sha256: npt.NDArray[np.str_]
    pixels: npt.NDArray[np.str_]
    perceptual: npt.NDArray[np.uint64]
    mirrored: npt.NDArray[np.uint64]
    contrast: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float16] | None

    @classmethod
    def of(cls, table: pa.Table, embeddings: npt.NDArray[np.float16] | None) -> Self:
        """Read the columns of `records.SIGNATURE`; embeddings are those of the same rows."""
        return cls(
            sha256=np.asarray(table["sha256"].to_pylist(), dtype=np.str_),
            pixels=np.asarray(table["pixels"].to_pylist(), dtype=np.str_),
            perceptual=table["perceptual"].to_numpy(),
            mirrored=table["mirrored"].to_numpy(),
            contrast=table["contrast"].to_numpy(),
            embeddings=embeddings,
        )


class Leaks(NamedTuple):
    """Training images found in evaluation sets.

    Attributes:
        images: Which, ascending.
        reasons: Index into `REASONS` of the strictest match of each.
        matches: The smallest matching evaluation image of each.
    """

    images: Indices
    reasons: Indices
    matches: Indices


def find_leaks(
    training: Signatures,
    evaluation: Signatures,
    *,
    radius: int | None,
    min_contrast: float,
    mirrored: bool,
    min_cosine: float | None,
) -> Leaks:
    """Compare every training image with every evaluation image.

    Args:
        training: Signatures of what may be trained on.
        evaluation: Signatures of what must not be.
        radius: Bits in which perceptual hashes may differ; None for exact matches only.
        min_contrast: Contrast below which a hash is not compared.
        mirrored: Whether the mirror image of an evaluation image is a leak too.
        min_cosine: Cosine of embeddings from which on an image is a leak; None to leave them out.
    """
    num_training = len(training.sha256)
    reasons = np.full(num_training, len(REASONS), np.int64)
    matches = np.full(num_training, len(evaluation.sha256), np.int64)
    found = [
        (BYTES, _equal(training.sha256, evaluation.sha256)),
        (PIXELS, _equal(training.pixels, evaluation.pixels)),
    ]
    if radius is not None:
        for hashes in (evaluation.perceptual, evaluation.mirrored)[: 1 + mirrored]:
            near = _near(training, hashes, evaluation, radius=radius, min_contrast=min_contrast)
            found.append((LOOKS, near))
    if min_cosine is not None:
        assert training.embeddings is not None
        assert evaluation.embeddings is not None
        close = best_matches(training.embeddings, evaluation.embeddings, min_cosine=min_cosine)
        found.append((MEANING, close))
    for word, (left, right) in found:
        reason = REASONS.index(word)
        new = reasons[left] >= reason
        left, right = left[new], right[new]
        reasons[left] = reason
        np.minimum.at(matches, left, right)
    images = np.flatnonzero(reasons < len(REASONS))
    return Leaks(images, reasons[images], matches[images])


def _equal(
    training: npt.NDArray[np.str_], evaluation: npt.NDArray[np.str_]
) -> tuple[Indices, Indices]:
    values, first = np.unique(evaluation, return_index=True)
    if len(values) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(values, training), len(values) - 1)
    left = np.flatnonzero(values[place] == training)
    return left, first[place[left]]


def _near(
    training: Signatures,
    hashes: npt.NDArray[np.uint64],
    evaluation: Signatures,
    *,
    radius: int,
    min_contrast: float,
) -> tuple[Indices, Indices]:
    ours = np.flatnonzero(training.contrast >= min_contrast)
    theirs = np.flatnonzero(evaluation.contrast >= min_contrast)
    left, right = pairs_between(training.perceptual[ours], hashes[theirs], radius=radius)
    return ours[left], theirs[right]
