"""Equal stretches of the source's rows: what a group is.

The rows of all metadata parts, one part after the other, are one sequence; group g of n is rows
[total * g // n, total * (g + 1) // n). Images, signatures and accounts stay in the group of their
row, so whatever relates a row to its image is a matter of one group, in the memory of one group.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_filters.io.parquet import num_rows, scan_sql


class Stretch(NamedTuple):
    """Rows [start, stop) of one parquet part, whose column `row` counts them from 0."""

    file: Path
    start: int
    stop: int


def stretches(files: Sequence[Path], *, group: int, count: int) -> list[Stretch]:
    """Return the rows of metadata parts that belong to a group, in order.

    Args:
        files: All parts of the source.
        group: Number of the group.
        count: Number of groups.
    """
    sizes = [num_rows(file) for file in files]
    first, last = (sum(sizes) * number // count for number in (group, group + 1))
    found, begin = [], 0
    for file, size in zip(files, sizes, strict=True):
        start, stop = max(first - begin, 0), min(last - begin, size)
        if start < stop:
            found.append(Stretch(file, start, stop))
        begin += size
    return found


def stretch_sql(rows: Stretch) -> str:
    """Spell a DuckDB query for a stretch; row groups outside of it are not read."""
    scan = scan_sql([rows.file])
    return f"SELECT * FROM {scan} WHERE row >= {rows.start} AND row < {rows.stop}"  # noqa: S608
