"""Which training images an evaluation set already holds."""

from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_filters.dedup.digests import Digests, to_digests
from data_filters.dedup.hamming import Lookup
from data_filters.dedup.neighbours import Closest
from data_filters.dedup.vectors import Indices

BYTES, PIXELS, LOOKS, MEANING = "same_bytes", "same_pixels", "near_duplicate", "semantic_duplicate"
REASONS: Final = (BYTES, PIXELS, LOOKS, MEANING)
"""Why two images are one, strictest first."""


class Signatures(NamedTuple):
    """Signatures of many images, one entry each.

    Attributes:
        sha256: Of the bytes, the first 128 bits.
        pixels: Of the decoded pixels, likewise.
        perceptual: 64-bit hash.
        mirrored: 64-bit hash of the mirror image.
        contrast: What the hashes are worth, grey levels.
        embeddings: Of length one, [images, dim]; None where there are none.
    """

    sha256: Digests
    pixels: Digests
    perceptual: npt.NDArray[np.uint64]
    mirrored: npt.NDArray[np.uint64]
    contrast: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float16] | None

    @classmethod
    def of(cls, table: pa.Table, embeddings: npt.NDArray[np.float16] | None) -> Self:
        """Read the columns of `records.SIGNATURE`; embeddings are those of the same rows."""
        return cls(
            sha256=to_digests(table["sha256"]),
            pixels=to_digests(table["pixels"]),
            perceptual=table["perceptual"].to_numpy(),
            mirrored=table["mirrored"].to_numpy(),
            contrast=table["contrast"].to_numpy(),
            embeddings=embeddings,
        )


class Evaluation(NamedTuple):
    """The images of all evaluation sets, one entry each.

    Attributes:
        signatures: Of each.
        looks: Every perceptual hash that each is recognised by: its own, those of its crops and,
            where asked for, those of their mirror images, [images, hashes].
        places: Name of its set, and its place there.
    """

    signatures: Signatures
    looks: npt.NDArray[np.uint64]
    places: pa.Array

    @classmethod
    def of(
        cls, table: pa.Table, embeddings: npt.NDArray[np.float16] | None, *, mirrored: bool
    ) -> Self:
        """Read the columns of `records.EVALUATION_SIGNATURE`."""
        signatures = Signatures.of(table, embeddings)
        cropped = table["cropped"].combine_chunks().flatten().to_numpy()
        crops = cropped.reshape(table.num_rows, len(cropped) // max(table.num_rows, 1))
        own = np.stack([signatures.perceptual, signatures.mirrored], axis=1)
        looks = np.hstack([own, crops])[:, :: 1 if mirrored else 2]  # each with its mirror image's
        places = pc.binary_join_element_wise(table["set"], table["place"], ": ")
        return cls(signatures, looks, places.combine_chunks())


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


class LeakFinder:
    """Compare training images with every evaluation image, of which the indexes are built once.

    Args:
        evaluation: What must not be trained on.
        radius: Bits in which perceptual hashes may differ; None for exact matches only.
        min_contrast: Contrast below which a hash is not compared.
        min_cosine: Cosine of embeddings from which on an image is a leak; None to leave them out.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        *,
        radius: int | None,
        min_contrast: float,
        min_cosine: float | None,
    ) -> None:
        self._evaluation, self._min_contrast = evaluation.signatures, min_contrast
        self._worth = np.flatnonzero(self._evaluation.contrast >= min_contrast)
        looks = evaluation.looks[self._worth]
        self._looks_each = max(looks.shape[1], 1)
        self._looks = None if radius is None else Lookup(looks.ravel(), radius=radius)
        self._min_cosine, self._closest = min_cosine, None
        if min_cosine is not None:
            assert self._evaluation.embeddings is not None
            self._closest = Closest(self._evaluation.embeddings)

    def find(self, training: Signatures) -> Leaks:
        """Find the leaks among some images that may be trained on."""
        theirs = self._evaluation
        reasons = np.full(len(training.sha256), len(REASONS), np.int64)
        matches = np.full(len(training.sha256), len(theirs.sha256), np.int64)
        for reason, (left, right) in enumerate(
            (
                _equal(training.sha256, theirs.sha256),
                _equal(training.pixels, theirs.pixels),
                self._alike(training),
                self._close(training),
            )
        ):
            new = reasons[left] >= reason
            left, right = left[new], right[new]
            reasons[left] = reason
            np.minimum.at(matches, left, right)
        images = np.flatnonzero(reasons < len(REASONS))
        return Leaks(images, reasons[images], matches[images])

    def _alike(self, training: Signatures) -> tuple[Indices, Indices]:
        if self._looks is None:
            return _NONE
        ours = np.flatnonzero(training.contrast >= self._min_contrast)
        left, right = self._looks.pairs(training.perceptual[ours])
        return ours[left], self._worth[right // self._looks_each]

    def _close(self, training: Signatures) -> tuple[Indices, Indices]:
        if self._closest is None or self._min_cosine is None:
            return _NONE
        assert training.embeddings is not None
        return self._closest.matches(training.embeddings, min_cosine=self._min_cosine)


_NONE: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _equal(training: Digests, evaluation: Digests) -> tuple[Indices, Indices]:
    values, first = np.unique(evaluation, return_index=True)
    if len(values) == 0:
        return _NONE
    place = np.minimum(np.searchsorted(values, training), len(values) - 1)
    left = np.flatnonzero(values[place] == training)
    return left, first[place[left]]
