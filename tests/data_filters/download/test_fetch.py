"""Workers in processes of their own: what they are told, and what becomes of their failures."""

import json

import pytest

from data_filters.config import DownloadImages
from data_filters.download import fetch as module
from data_filters.download.fetch import fetch_shards
from data_filters.download.plan import plan_shards
from data_filters.io.processes import VARIABLE

CFG = DownloadImages(
    rows_per_shard=2,
    threads=2,
    timeout_seconds=1.0,
    total_timeout_seconds=2.0,
    max_bytes=1000,
    max_pixels=1000,
    retries=0,
    allow_loopback=True,
    user_agent="franca",
    verify_md5=False,
    resize=None,
    min_success_rate=0.5,
)


def test_nothing_is_started_when_nothing_is_left_to_do(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(module, "_start", lambda *given, **named: started.append((given, named)))
    fetch_shards(CFG, [], folder=tmp_path, origin=None)
    assert started == []


def test_shards_are_dealt_to_workers(tmp_path, monkeypatch, metadata_part):
    started = []

    class Finished:
        returncode = 0
        stdin = (tmp_path / "stdin").open("wb")

        def poll(self):
            return 0

        def kill(self):
            pass

        wait = kill

    monkeypatch.setenv(VARIABLE, "2")
    monkeypatch.setattr(module, "_start", lambda job, _: started.append(job) or Finished())
    plans = plan_shards([metadata_part([{}] * 5)], rows_per_shard=2)
    fetch_shards(CFG, plans, folder=tmp_path, origin="127.0.0.1:80")
    assert [[plan.shard for plan in job.shards] for job in started] == [[0, 2], [1]]
    assert {job.origin for job in started} == {"127.0.0.1:80"}


@pytest.mark.slow
def test_a_failing_worker_is_told_with_its_last_words(tmp_path, metadata_part):
    part = metadata_part([{}])
    plans = plan_shards([part], rows_per_shard=2)
    part.unlink()
    with pytest.raises(
        RuntimeError, match=r"download worker failed: .*FileNotFoundError.*worker-0"
    ):
        fetch_shards(CFG, plans, folder=tmp_path, origin=None)
    assert json.loads((tmp_path / "worker-0.json").read_text())["user_agent"] == "franca"
