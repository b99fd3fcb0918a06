"""Groups of copies by stricter and looser criteria; a looser one contains the stricter ones."""

import numpy as np

from data_filters.dedup.clusters import components, edges_of_equal
from data_filters.dedup.hamming import pairs_between, pairs_within
from data_filters.dedup.leakage import BYTES, LOOKS, MEANING, PIXELS, Signatures
from data_filters.dedup.neighbours import Indices

Edges = tuple[Indices, Indices]


def group_copies(
    signatures: Signatures,
    *,
    radius: int | None,
    min_contrast: float,
    mirrored: bool,
    similar: Edges | None,
) -> dict[str, Indices]:
    """Group images by bytes, then also by pixels, by looks and by meaning.

    Args:
        signatures: Of the images.
        radius: Bits in which perceptual hashes of copies may differ; None to leave looks out.
        min_contrast: Contrast below which a hash is not compared.
        mirrored: Whether an image and its mirror image are copies.
        similar: Pairs whose embeddings are close; None to leave meaning out.

    Returns:
        For each criterion, by its reason and in this order, the group of each image.
    """
    size = len(signatures.sha256)
    edges = [edges_of_equal(signatures.sha256)]
    levels = {BYTES: components(size, edges)}
    edges.append(edges_of_equal(signatures.pixels))
    levels[PIXELS] = components(size, edges)
    if radius is not None:
        worth = np.flatnonzero(signatures.contrast >= min_contrast)
        edges += _alike(signatures, worth, radius=radius, mirrored=mirrored)
        levels[LOOKS] = components(size, edges)
    if similar is not None:
        edges.append(similar)
        levels[MEANING] = components(size, edges)
    return levels


def _alike(signatures: Signatures, worth: Indices, *, radius: int, mirrored: bool) -> list[Edges]:
    """Join images by their hashes; equal hashes are searched for once."""
    hashes, first, inverse = np.unique(
        signatures.perceptual[worth], return_index=True, return_inverse=True
    )
    left, right = pairs_within(hashes, radius=radius)
    edges = [(worth[first[inverse]], worth), (worth[first[left]], worth[first[right]])]
    if mirrored:
        left, right = pairs_between(hashes, signatures.mirrored[worth], radius=radius)
        edges.append((worth[first[left]], worth[right]))
    return edges
