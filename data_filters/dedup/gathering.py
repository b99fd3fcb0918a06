"""What is compared of all images: a table on disk, a file per group."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.dedup.digests import WIDTH, Digests, to_digests
from data_filters.dedup.leakage import Signatures
from data_filters.dedup.vectors import Embeddings, mapped
from data_filters.io.parquet import ParquetWriter, part_files

IMAGE: Final = pa.schema(
    [
        ("place", pa.int64()),  # among all images, in the order of groups, shards and row ids
        ("row_id", pa.binary(WIDTH)),
        ("sha256", pa.binary(WIDTH)),  # the first 128 bits, like those of `pixels`
        ("pixels", pa.binary(WIDTH)),
        ("perceptual", pa.uint64()),
        ("mirrored", pa.uint64()),
        ("contrast", pa.float32()),
        ("area", pa.int64()),  # pixels
        ("size", pa.int64()),  # bytes
    ]
)

_COMPARED: Final = ["sha256", "pixels", "perceptual", "mirrored", "contrast"]
_ROW_GROUPS: Final = 4
"""Whose signatures are compared with those of evaluation images at a time."""


class Images(NamedTuple):
    """All images.

    Attributes:
        files: By group, tables of `IMAGE`, in order.
        number: How many images there are.
        embeddings: Of each, of length one, [images, dim], a mapped file; None where there are none.
    """

    files: dict[str, Path]
    number: int
    embeddings: Embeddings | None

    def signatures(self) -> Iterator[tuple[int, Signatures]]:
        """Yield the place of some images' first, and their signatures, until all have come."""
        place = 0
        for file in self.files.values():
            with pq.ParquetFile(file) as rows:
                for first in range(0, rows.num_row_groups, _ROW_GROUPS):
                    some = range(first, min(first + _ROW_GROUPS, rows.num_row_groups))
                    table = rows.read_row_groups(some, columns=_COMPARED).combine_chunks()
                    stop = place + table.num_rows
                    vectors = None if self.embeddings is None else self.embeddings[place:stop]
                    yield place, _signatures(table, vectors)
                    place = stop


def gather_images(
    parts: Mapping[str, Path], *, downloads: Path, judged: Path, embedded: bool, folder: Path
) -> Images:
    """Join signatures with what images are ranked by, and write them down.

    Args:
        parts: Published folders of `deduplicate` by group.
        downloads: Published folder of `download_images`.
        judged: Published folder of `filter_images`.
        embedded: Whether there are embeddings.
        folder: Where the tables and the embeddings of all images go.
    """
    files: dict[str, Path] = {}
    number, embeddings = 0, None
    folder.mkdir(parents=True, exist_ok=True)
    if embedded:
        arrays = [file for part in parts.values() for file in part.glob("embeddings/*.npy")]
        embeddings = mapped(folder / "embeddings.npy", arrays)
    for group, part in parts.items():
        files[group] = folder / f"{group}.parquet"
        with ParquetWriter(files[group], IMAGE) as writer:
            for file in part_files(part / "signatures"):
                rows = _shard(
                    file,
                    raw=downloads / group / "raw" / file.name,
                    verdicts=judged / group / "verdicts" / file.name,
                )
                writer.write(_images(rows, first=number))
                if embeddings is not None and rows.num_rows:
                    array = np.load(part / "embeddings" / f"{file.stem}.npy")
                    embeddings[number : number + len(array)] = array[rows["place"].to_numpy()]
                number += rows.num_rows
    return Images(files, number, embeddings)


def _shard(signatures: Path, *, raw: Path, verdicts: Path) -> pa.Table:
    """Join the tables of one shard; `place` is the row among its signatures."""
    table = pq.read_table(signatures)
    table = table.append_column("place", pa.array(np.arange(table.num_rows)))
    table = table.join(pq.read_table(raw, columns=["row_id", "size"]), "row_id")
    pixels = pq.read_table(verdicts, columns=["row_id", "width", "height", "pixels"])
    return table.join(pixels, "row_id").sort_by("row_id")


def _images(rows: pa.Table, *, first: int) -> pa.Table:
    """Turn the rows of one shard into rows of `IMAGE`, numbered from `first`."""
    area = rows["width"].to_numpy().astype(np.int64) * rows["height"].to_numpy()
    columns = {
        "place": pa.array(np.arange(first, first + rows.num_rows)),
        **{name: _binary(rows[name]) for name in ("row_id", "sha256", "pixels")},
        **{name: rows[name] for name in ("perceptual", "mirrored", "contrast", "size")},
        "area": pa.array(area),
    }
    return pa.table([columns[name] for name in IMAGE.names], schema=IMAGE)


def _binary(texts: pa.ChunkedArray) -> pa.Array:
    """Cut hexadecimal digests to `WIDTH` bytes."""
    buffers: Sequence[pa.Buffer | None] = [None, pa.py_buffer(to_digests(texts))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), len(texts), buffers)


def _signatures(rows: pa.Table, embeddings: Embeddings | None) -> Signatures:
    def digests(name: str) -> Digests:
        column = rows[name].chunk(0)
        data = np.frombuffer(column.buffers()[1], f"S{WIDTH}")
        return data[column.offset : column.offset + len(column)]

    return Signatures(
        sha256=digests("sha256"),
        pixels=digests("pixels"),
        perceptual=rows["perceptual"].to_numpy(),
        mirrored=rows["mirrored"].to_numpy(),
        contrast=rows["contrast"].to_numpy(),
        embeddings=embeddings,
    )
