"""Tables of images to compare, in a database as the stage opens it."""

from contextlib import contextmanager

import pytest

from data_filters.dedup.components import EDGES
from data_filters.dedup.decision import open_tables
from data_filters.dedup.gathering import IMAGE
from data_filters.io.database import connect
from data_filters.io.parquet import write_rows

PLAIN = {
    "sha256": "", "pixels": "", "perceptual": 0, "mirrored": 0, "contrast": 9.0, "area": 1,
    "size": 1,
}  # fmt: skip


@pytest.fixture
def opened(tmp_path):
    """Open a database of some images, each a dictionary; return it and the files."""

    @contextmanager
    def open_database(*groups):
        files, place = [], 0
        for number, images in enumerate(groups):
            files.append(tmp_path / f"group-{number:03d}.parquet")
            rows = []
            for image in images:
                row = {"row_id": f"r{place}", **PLAIN, **image, "place": place}
                for name in ("row_id", "sha256", "pixels"):
                    row[name] = row[name].encode().ljust(16)
                rows.append(row)
                place += 1
            write_rows(files[-1], IMAGE, rows)
        with connect(tmp_path) as connection:
            connection.execute(EDGES)
            open_tables(connection, files)
            yield connection, files

    return open_database
