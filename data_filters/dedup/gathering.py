"""What is compared of all images, read shard by shard into arrays of fixed width."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.dedup.describe import stacked
from data_filters.dedup.digests import WIDTH, Digests, to_digests
from data_filters.dedup.leakage import Signatures
from data_filters.io.parquet import num_rows, part_files


class Images(NamedTuple):
    """All images, in the order of groups, shards and row ids; one entry of an array each.

    Attributes:
        row_ids: Their names.
        signatures: What they are compared by.
        area: Pixels.
        size: Bytes.
        groups: How many images each group has.
    """

    row_ids: Digests
    signatures: Signatures
    area: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    groups: dict[str, int]


def read_images(
    parts: Mapping[str, Path], *, downloads: Path, judged: Path, embedded: bool
) -> Images:
    """Join signatures with what images are ranked by.

    Args:
        parts: Published folders of `deduplicate` by group.
        downloads: Published folder of `download_images`.
        judged: Published folder of `filter_images`.
        embedded: Whether there are embeddings.
    """
    files = {group: part_files(folder / "signatures") for group, folder in parts.items()}
    groups = {group: sum(map(num_rows, tables)) for group, tables in files.items()}
    images = _empty(groups)
    vectors, start = [], 0
    for group, file in [(group, file) for group, tables in files.items() for file in tables]:
        rows = _shard(
            file,
            raw=downloads / group / "raw" / file.name,
            verdicts=judged / group / "verdicts" / file.name,
        )
        _fill(images, slice(start, start + rows.num_rows), rows)
        start += rows.num_rows
        if embedded:
            array = np.load(parts[group] / "embeddings" / f"{file.stem}.npy")
            vectors.append(array[rows["place"].to_numpy()])
    if embedded:
        images = images._replace(signatures=images.signatures._replace(embeddings=stacked(vectors)))
    return images


def _shard(signatures: Path, *, raw: Path, verdicts: Path) -> pa.Table:
    """Join the tables of one shard; `place` is the row among its signatures."""
    table = pq.read_table(signatures)
    table = table.append_column("place", pa.array(np.arange(table.num_rows)))
    table = table.join(pq.read_table(raw, columns=["row_id", "size"]), "row_id")
    shapes = pq.read_table(verdicts, columns=["row_id", "width", "height"])
    return table.join(shapes, "row_id").sort_by("row_id")


def _empty(groups: dict[str, int]) -> Images:
    number = sum(groups.values())
    row_ids, sha256, pixels = (np.empty(number, f"S{WIDTH}") for _ in range(3))
    perceptual, mirrored = (np.empty(number, np.uint64) for _ in range(2))
    contrast = np.empty(number, np.float32)
    signatures = Signatures(sha256, pixels, perceptual, mirrored, contrast, None)
    area, size = (np.empty(number, np.int64) for _ in range(2))
    return Images(row_ids, signatures, area, size, groups)


def _fill(images: Images, place: slice, rows: pa.Table) -> None:
    ours, theirs = images.signatures, Signatures.of(rows, None)
    ours.sha256[place], ours.pixels[place] = theirs.sha256, theirs.pixels
    ours.perceptual[place], ours.mirrored[place] = theirs.perceptual, theirs.mirrored
    ours.contrast[place] = theirs.contrast
    images.row_ids[place] = to_digests(rows["row_id"])
    images.area[place] = rows["width"].to_numpy().astype(np.int64) * rows["height"].to_numpy()
    images.size[place] = rows["size"].to_numpy()
