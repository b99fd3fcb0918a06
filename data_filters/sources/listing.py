"""Lists of the images of a local collection, as rows of metadata."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from data_filters.io.database import ROWS_PER_BATCH
from data_filters.io.parquet import write_batches
from data_filters.records import METADATA, content_id
from data_filters.sources.image import LocalReader


def part_file(parts: Path, part: int) -> Path:
    """Name the file that holds the rows of a part of the source."""
    return parts / f"part-{part:05d}.parquet"


def list_images(reader: LocalReader, parts: Path) -> None:
    """Write the rows of every part that the folder `parts` lacks."""
    for part in range(reader.num_parts()):
        file = part_file(parts, part)
        if not file.exists():
            write_batches(file, METADATA, _listing(reader, part))


def _listing(reader: LocalReader, part: int) -> Iterator[pa.RecordBatch]:
    """List a part as batches of metadata rows."""
    rows = (
        {
            "row_id": content_id(image.path),
            "part": part,
            "row": row,
            "path": image.path,
            "caption": image.caption,
        }
        for row, image in enumerate(reader.images(part, with_data=False))
    )
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        yield pa.RecordBatch.from_pylist(batch, schema=METADATA)
