"""Read the source's tables, or list its images, into parts with one set of columns.

fetch_metadata/
    parts/part-00000.parquet …   columns of `records.METADATA`, a file per part of the source
    funnel.json                  rows read
    statistics.json              rows per part, values present per column; of local files a hash of
                                 names and sizes, so that later stages run again when they change
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from data_filters.config import Embedded, FetchMetadata, LocalSource, Relaion
from data_filters.io.database import ROWS_PER_BATCH, connect
from data_filters.io.files import digest_of_sizes, join, link_or_copy, list_files, write_json
from data_filters.io.parquet import part_files, scan_sql, write_batches
from data_filters.io.processes import run_jobs
from data_filters.ledger import Tally, write_accounts
from data_filters.records import METADATA, content_id
from data_filters.sources import relaion
from data_filters.sources.image import LocalReader
from data_filters.sources.local import open_source

STAGE: Final = "fetch_metadata"


def run(
    cfg: FetchMetadata, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Write the parts; see the module's docstring for the layout.

    A killed run continues with the parts that `work` lacks.

    Raises:
        FileNotFoundError: The source is not where the parameters say.
        ValueError: A file of the source cannot be read, or there are no rows.
    """
    del seed  # the same rows whatever the seed
    parts, source = work / "parts", cfg.source
    if isinstance(source, LocalSource):
        _list_images(open_source(source, key=f"{STAGE}.source"), parts)
    else:
        root, names = _tables(source, scenes=inputs["scenes"])
        read = partial(_read_table, root=root, parts=parts, work=work)
        for _ in run_jobs(read, list(enumerate(names)), label="metadata"):
            pass
    for file in part_files(parts):
        link_or_copy(file, output / "parts" / file.name)
    statistics = _statistics(part_files(parts), work)
    if statistics["rows"] == 0:
        raise ValueError(
            f"{STAGE}.source: the {source.kind} source holds no rows; choose another source or, "
            "for the embedded one, let the stage scenes render some"
        )
    if isinstance(source, LocalSource):
        statistics["digest_of_sizes"] = digest_of_sizes(source.root)
    tally = Tally(STAGE, ["read"])
    tally.add(None, None, statistics["rows"])
    write_accounts(output, tally.entries())
    write_json(output / "statistics.json", statistics)
    return {"rows": statistics["rows"], "parts": len(statistics["rows_per_part"])}


def _tables(source: Embedded | Relaion, *, scenes: Path) -> tuple[str, list[str]]:
    """Return the root and names of the tables of a URL source."""
    if isinstance(source, Relaion):
        names = list_files(
            source.root, source.files, key=f"{STAGE}.source.root", layout=relaion.LAYOUT
        )
        return source.root, names
    root = str(scenes / "origin")
    key = f"{STAGE}.source (embedded)"
    return root, list_files(root, "metadata.parquet", key=key, layout="what the stage scenes wrote")


def _read_table(item: tuple[int, str], *, root: str, parts: Path, work: Path) -> None:
    part, name = item
    file = _part_file(parts, part)
    if not file.exists():
        with connect(work / file.stem, root=root) as connection:
            batches = relaion.read_part(connection, join(root, name), part=part)
            write_batches(file, METADATA, batches)


def _list_images(reader: LocalReader, parts: Path) -> None:
    for part in range(reader.num_parts()):
        file = _part_file(parts, part)
        if not file.exists():
            write_batches(file, METADATA, _listing(reader, part))


def _part_file(parts: Path, part: int) -> Path:
    return parts / f"part-{part:05d}.parquet"


def _listing(reader: LocalReader, part: int) -> Iterator[pa.RecordBatch]:
    """List a part of a local source as batches of metadata rows."""
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


def _statistics(files: list[Path], work: Path) -> dict[str, Any]:
    """Count rows per part, and how many rows have each value; repeats show in the funnel."""
    columns = [name for name in METADATA.names if name not in ("part", "row", "row_id")]
    counts = ", ".join(f"count({name})" for name in columns)
    with connect(work) as connection:
        scan = f"FROM {scan_sql(files)}"
        per_part = connection.sql(
            f"SELECT part, count(*) {scan} GROUP BY part ORDER BY part"
        ).fetchall()
        rows, *present = connection.sql(f"SELECT count(*), {counts} {scan}").fetchall()[0]
    return {
        "rows": rows,
        "rows_per_part": [number for _, number in per_part],
        "values_present": dict(zip(columns, present, strict=True)),
    }
