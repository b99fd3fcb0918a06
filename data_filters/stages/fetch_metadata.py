"""Read the source's tables, or list its images, into parts with one set of columns.

fetch_metadata/
    parts/part-00000.parquet …   columns of `records.METADATA`, a file per part of the source
    funnel.json                  rows read
    statistics.json              rows per part, values present per column; of local files a hash of
                                 names and sizes, so that later stages run again when they change
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from data_filters.catalogue import Counts, check_counts
from data_filters.config import Catalogue, FetchMetadata, layout_of
from data_filters.io.database import connect
from data_filters.io.files import digest_of_sizes, link_or_copy, list_files, write_json
from data_filters.io.parquet import part_files, scan_sql, write_batches
from data_filters.io.processes import run_jobs
from data_filters.ledger import Tally, write_accounts
from data_filters.records import METADATA
from data_filters.source_kinds import Embedded, Huggingface, LocalSource, UrlTable
from data_filters.sources.listing import list_images, part_file
from data_filters.sources.local import open_source
from data_filters.sources.url_table import LAYOUT, read_part

STAGE: Final = "fetch_metadata"
SOURCE: Final = f"{STAGE}.source"


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
    parts, source = work / "parts", layout_of(cfg.source)
    if isinstance(source, LocalSource):
        list_images(open_source(source, key=SOURCE), parts)
    else:
        table = _table(source, scenes=inputs["scenes"])
        names = list_files(table.root, table.files, key=f"{SOURCE}.root", layout=LAYOUT)
        read = partial(_read_table, table=table, parts=parts, work=work)
        for _ in run_jobs(read, list(enumerate(names)), label="metadata"):
            pass
    for file in part_files(parts):
        link_or_copy(file, output / "parts" / file.name)
    statistics = _statistics(part_files(parts), work)
    if statistics["rows"] == 0:
        raise ValueError(
            f"{SOURCE}: the {source.kind} source holds no rows; choose another source or, "
            "for the embedded one, let the stage scenes render some"
        )
    if isinstance(cfg.source, Catalogue) and cfg.source.expected is not None:
        check_counts(
            cfg.source.name,
            cfg.source.expected,
            found=Counts(files=len(statistics["rows_per_part"]), rows=statistics["rows"]),
            key=SOURCE,
        )
    if isinstance(source, LocalSource) and not isinstance(source, Huggingface):
        statistics["digest_of_sizes"] = digest_of_sizes(source.root)
    tally = Tally(STAGE, ["read"])
    tally.add(None, None, statistics["rows"])
    write_accounts(output, tally.entries())
    write_json(output / "statistics.json", statistics)
    return {"rows": statistics["rows"], "parts": len(statistics["rows_per_part"])}


def _table(source: Embedded | UrlTable, *, scenes: Path) -> UrlTable:
    """The table of a source of URLs; the embedded world's is like ReLAION's."""
    if isinstance(source, UrlTable):
        return source
    root = str(scenes / "origin")
    return UrlTable(kind="url_table", root=root, files="metadata.parquet")


def _read_table(item: tuple[int, str], *, table: UrlTable, parts: Path, work: Path) -> None:
    part, name = item
    file = part_file(parts, part)
    if not file.exists():
        with connect(work / file.stem, root=table.root) as connection:
            batches = read_part(
                connection,
                root=table.root,
                name=name,
                part=part,
                columns=table.columns,
                key=SOURCE,
            )
            write_batches(file, METADATA, batches)


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
