"""`franca data rebuild` on a selection of the embedded world, of which an image is gone."""

import hashlib
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_filters.records import MANIFEST, content_id

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path):
    """Work in a folder with the parameters, a published world and a manifest of two images."""
    origin = tmp_path / "artifacts" / "tiny" / "scenes" / "origin"
    origin.mkdir(parents=True)
    (origin / "faults.json").write_text("{}")
    Image.linear_gradient("L").save(origin / "a.jpg")
    data = (origin / "a.jpg").read_bytes()
    rows = [
        {
            "key": str(shard), "row_id": content_id(name), "url": f"http://{{origin}}/{name}",
            "sha256": hashlib.sha256(data).hexdigest(), "shard": shard, "width": 64, "height": 48,
            "original_md5": hashlib.md5(data).hexdigest(),
        }
        for shard, name in enumerate(["a.jpg", "b.jpg"])
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST), tmp_path / "manifest.parquet")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


def rebuild(place, *more):
    command = ["franca", "data", "rebuild", "--manifest", "manifest.parquet", "--to", "again"]
    return subprocess.run([*command, *more], cwd=place, capture_output=True, text=True, check=False)


def test_what_is_lost_is_told_and_is_a_failure_above_the_threshold(place):
    done = rebuild(place)
    assert done.returncode == 1, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["images", "share"],
        ["same", "1", "50.0%"],
        ["changed", "0", "0.0%"],
        ["gone:", "http_404", "1", "50.0%"],
        ["all", "2", "100.0%"],
    ]
    assert done.stderr.splitlines()[-1] == "50.0% are the same, fewer than 80.0%"
    assert (place / "again" / "shard-000000.tar").exists()
    assert not (place / "again" / "shard-000001.tar").exists()


def test_a_dry_run_writes_nothing_and_a_bad_threshold_is_named(place):
    done = rebuild(place, "--show")
    assert done.returncode == 0
    assert '"verify_md5": true' in done.stdout
    assert rebuild(place, "--min-same", "80").stderr.startswith("franca: --min-same 80.0: must be")
    assert not (place / "again").exists()
