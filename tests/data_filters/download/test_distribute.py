"""The same shards, whoever runs the processes."""

import importlib.util
import os
import shutil

import pyarrow.parquet as pq
import pytest

from data_filters.download.distribute import DISTRIBUTORS
from data_filters.download.job import Job
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.plan import plan_shards


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DISTRIBUTORS))
@pytest.mark.filterwarnings("default")  # those of Ray, Spark and img2dataset are theirs
def test_every_job_is_done(tmp_path, metadata_part, limits, jpeg, name):
    if name != "multiprocessing" and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    if name == "pyspark" and not ("JAVA_HOME" in os.environ or shutil.which("java")):
        pytest.skip("there is no Java, which Spark runs on")
    (tmp_path / "0.jpg").write_bytes(jpeg(0))
    urls = [{"url": f"http://{{origin}}/{index}.jpg"} for index in range(4)]
    plans = plan_shards([metadata_part(urls)], rows_per_shard=2)
    with LoopbackOrigin(tmp_path, {"/2.jpg": "gone"}) as origin:
        jobs = [
            Job(shards=(plan,), cfg=limits(), output=tmp_path / "out", origin=origin.address)
            for plan in plans
        ]
        DISTRIBUTORS[name](jobs, workers=2)
    rows = [
        row
        for plan in plans
        for row in pq.read_table(tmp_path / "out" / f"{plan.stem}.parquet").to_pylist()
    ]
    assert sorted(str(row["reason"]) for row in rows) == [
        "None",
        "http_404",
        "http_404",
        "http_410",
    ]


@pytest.mark.parametrize("name", ["pyspark", "ray"])
def test_a_missing_cluster_library_is_told_with_the_remedy(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=rf"distributor is {name}.*pip install .*\[{name}\]"):
        DISTRIBUTORS[name]([], workers=1)


def test_missing_java_is_told_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ValueError, match=r"pyspark, and Spark runs on Java.*or set JAVA_HOME"):
        DISTRIBUTORS["pyspark"]([], workers=1)
