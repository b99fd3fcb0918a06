"""The data stages of a run: how many rows go in and come out, what is fetched, what is stored."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from data_filters.config import Catalogue, Thresholds, layout_of
from data_filters.dedup.hamming import bands
from data_filters.source_kinds import UrlTable
from workflow.plan.published import (
    ANSWERING,
    HIGHRES_BYTES,
    PASSING,
    SOURCES,
    STORED_BYTES,
    Source,
)
from workflow.plan.rates import COPY, PACK_HIGHRES, PAIRS_OVER_CHANCE, RATES, Rate

Range = tuple[float, float]
"""Least and largest; equal where nothing is uncertain."""

_ALL: Range = (1.0, 1.0)

# Books, compressed bytes a row. A verdict was measured on a synthetic table; one on an image has a
# digest of 256 bits as well; a signature has hashes of 128, 256, 64 and 64 bits and a float; a
# listed path, and the entries of a packed image in index, manifest and ledger, are estimates.
_VERDICT_BYTES = 8.3
_DIGEST_BYTES = 32
_SIGNATURE_BYTES = 68
_LISTED_BYTES = 100
_PACKED_BYTES = 400


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """Numbers of images, and bytes.

    Attributes:
        rows: of the source.
        passing: share of them that passes the metadata filters.
        attempted: rows that pass the metadata filters and are fetched or copied.
        arrived: images that answer.
        wanted: images that the paper trained on.
        needed: rows to attempt for as many.
        fetched: bytes over the network; None for a local source.
        image_bytes: of a stored image.
        stored: bytes that each stage publishes.
        pairs: of images whose hashes are compared since they share a band.
    """

    rows: int
    passing: Range
    attempted: Range
    arrived: Range
    wanted: int
    needed: Range
    fetched: Range | None
    image_bytes: float
    stored: dict[str, Range]
    pairs: Range


@dataclass(frozen=True, kw_only=True)
class HighresPlan:
    """The images to fine-tune on, evaluation images included, and their bytes."""

    images: int
    image_bytes: float

    @property
    def stored(self) -> float:
        """Bytes that pack_highres publishes."""
        return self.image_bytes + self.images * _PACKED_BYTES

    @property
    def core_hours(self) -> float:
        """Hours of one core that pack_highres takes."""
        return self.images / PACK_HIGHRES.per_second / 3600


def highres_plan(parameters: Any) -> HighresPlan | None:
    """Add up the sets to fine-tune on; None without sets, or with one whose size is not known."""
    images, image_bytes = 0, 0.0
    for source in parameters.pack_highres.sets.values():
        counts = source.expected if isinstance(source, Catalogue) else None
        if counts is None or counts.rows is None or source.name not in HIGHRES_BYTES:
            return None
        images += counts.rows
        image_bytes += HIGHRES_BYTES[source.name]
    return HighresPlan(images=images, image_bytes=image_bytes) if images else None


def known_source(parameters: Any) -> Source | None:
    """Return what is known of the source's data set; None for one that only its owner knows.

    Args:
        parameters: what `workflow.params.resolve` returned.
    """
    root = getattr(layout_of(parameters.fetch_metadata.source), "root", "")
    return SOURCES.get(PurePosixPath(root).name)


def data_plan(parameters: Any, source: Source) -> DataPlan:
    """Follow the source through the data stages.

    Thresholds that are no published preset count as if everything passed: an upper bound. So do
    image filters and deduplication, whose effect only the images tell.

    Args:
        parameters: what `workflow.params.resolve` returned.
        source: of its images.
    """
    remote = isinstance(layout_of(parameters.fetch_metadata.source), UrlTable)
    filters = parameters.filter_metadata
    passing = times(_passing(filters.thresholds), filters.sample_fraction)
    attempted = times(passing, source.rows)
    answering = ANSWERING if remote else _ALL
    arrived = (attempted[0] * answering[0], attempted[1] * answering[1])
    image_bytes = _stored_image_bytes(parameters, source)
    row_bytes = source.table_bytes / source.rows if source.table_bytes else _LISTED_BYTES
    return DataPlan(
        rows=source.rows,
        passing=passing,
        attempted=attempted,
        arrived=arrived,
        wanted=source.wanted,
        needed=(source.wanted / answering[1], source.wanted / answering[0]),
        fetched=times(arrived, source.image_bytes) if remote else None,
        image_bytes=image_bytes,
        stored={
            "fetch_metadata": times(_ALL, source.rows * row_bytes),
            "filter_metadata": _plus(times(attempted, row_bytes), source.rows * _VERDICT_BYTES),
            "download_images": times(arrived, image_bytes),
            "filter_images": times(arrived, _VERDICT_BYTES + _DIGEST_BYTES),
            "deduplicate": times(arrived, _SIGNATURE_BYTES),
            "pack_shards": times(arrived, image_bytes + _PACKED_BYTES),
        },
        pairs=_near_pairs(arrived, parameters.deduplicate.near_duplicate_radius),
    )


def _near_pairs(images: Range, radius: int | None) -> Range:
    """Pairs of images that share a band of their hashes; quadratic in the number of images."""
    if radius is None:
        return (0.0, 0.0)
    shared = sum(2.0**-band.width for band in bands(radius + 1))
    low, high = (PAIRS_OVER_CHANCE * shared * number**2 / 2 for number in images)
    return low, high


def rates(plan: DataPlan) -> dict[str, Rate]:
    """Measured speed of each data stage: images of a local source are copied, not fetched."""
    return {**RATES, "download_images": COPY} if plan.fetched is None else dict(RATES)


def core_hours(plan: DataPlan) -> dict[str, Range]:
    """Hours of one core that each data stage takes, by the measured rates."""
    amounts: dict[str, Range] = {
        "rows": (plan.rows, plan.rows),
        "attempts": plan.attempted,
        "images": plan.arrived,
        "bytes": times(plan.arrived, plan.image_bytes),
        "pairs": plan.pairs,
    }
    return {
        name: times(amounts[rate.unit], 1 / rate.per_second / 3600)
        for name, rate in rates(plan).items()
    }


def times(values: Range, factor: float) -> Range:
    """Multiply both ends."""
    return values[0] * factor, values[1] * factor


def _passing(thresholds: str | Thresholds) -> Range:
    return PASSING.get(thresholds, _ALL) if isinstance(thresholds, str) else _ALL


def _stored_image_bytes(parameters: Any, source: Source) -> float:
    """Bytes of an image after the resizing that download_images does."""
    resize = parameters.download_images.resize
    if resize is None:
        return source.image_bytes
    larger = [size for size in sorted(STORED_BYTES) if size >= resize.size]
    return min(STORED_BYTES[larger[0]], source.image_bytes) if larger else source.image_bytes


def _plus(values: Range, summand: float) -> Range:
    return values[0] + summand, values[1] + summand
