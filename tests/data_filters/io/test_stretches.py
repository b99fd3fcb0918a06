"""Groups are equal stretches of rows, and together they are the source."""

import duckdb
import pytest

from data_filters.io.stretches import stretch_sql, stretches


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_every_row_is_in_one_group(metadata_part, count):
    sizes = [5, 0, 12, 1, 7]
    files = [metadata_part([{}] * size, part=number) for number, size in enumerate(sizes)]
    found, lengths = [], []
    with duckdb.connect() as connection:
        for group in range(count):
            rows = stretches(files, group=group, count=count)
            lengths.append(sum(each.stop - each.start for each in rows))
            for each in rows:
                found += connection.sql(f"SELECT part, row FROM ({stretch_sql(each)})").fetchall()
    assert found == [(part, row) for part, size in enumerate(sizes) for row in range(size)]
    assert max(lengths) - min(lengths) <= 1
