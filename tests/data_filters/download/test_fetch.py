"""Shards are dealt out once, and what is missing in the end is told."""

import threading

import pytest

from data_filters.download import fetch as module
from data_filters.download.fetch import fetch_shards
from data_filters.download.plan import ShardPlan, plan_shards
from data_filters.download.raw_shard import Fetched, write_raw_shard
from data_filters.io.processes import VARIABLE


@pytest.fixture
def dealt(monkeypatch):
    """Take the place of the machines: write what is asked for, but for shards named in `lost`."""
    jobs, lost = [], set()

    def distribute(given, *, workers):
        jobs.append((workers, [[plan.shard for plan in job.shards] for job in given]))
        for job in given:
            for plan in job.shards:
                if plan.shard not in lost:
                    rows = [Fetched(f"{n}", b"") for n in range(plan.start, plan.stop)]
                    write_raw_shard(job.output, plan.stem, shard=plan.shard, rows=rows)

    monkeypatch.setattr(module, "DISTRIBUTORS", {"multiprocessing": distribute})
    return jobs, lost


def test_shards_are_dealt_in_jobs_and_only_what_is_missing(
    tmp_path, limits, metadata_part, dealt, monkeypatch
):
    monkeypatch.setenv(VARIABLE, "2")
    jobs, _ = dealt
    plans = plan_shards([metadata_part([{}] * 11)], rows_per_shard=2)
    fetch_shards(limits(), plans, folder=tmp_path, origin=None)
    assert jobs == [(2, [[0, 1, 2], [3, 4, 5]])]
    (tmp_path / f"{plans[3].stem}.parquet").unlink()
    (tmp_path / ".shard-000003.77").mkdir()
    (tmp_path / ".shard-000003.tar.tmp").touch()
    fetch_shards(limits(), plans, folder=tmp_path, origin=None)
    assert jobs[1:] == [(2, [[3]])]
    assert not list(tmp_path.glob(".shard-*"))
    fetch_shards(limits(), plans, folder=tmp_path, origin=None)
    assert len(jobs) == 2


def test_no_process_works_for_ever(tmp_path, limits, metadata_part, dealt, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    plans = plan_shards([metadata_part([{}] * 6)], rows_per_shard=1)
    fetch_shards(limits(shards_per_process=4), plans, folder=tmp_path, origin=None)
    assert dealt[0] == [(1, [[0, 1, 2, 3], [4, 5]])]


def test_what_is_missing_in_the_end_is_told(tmp_path, limits, metadata_part, dealt, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    dealt[1].update({1, 2})
    plans = plan_shards([metadata_part([{}] * 3)], rows_per_shard=1)
    (tmp_path / "worker-000000.log").write_text("a\nb\n\nc\nlast words\n")
    with pytest.raises(RuntimeError, match=r"2 shards missing: b \| c \| last words .*000000\.log"):
        fetch_shards(limits(), plans, folder=tmp_path, origin=None)


def test_progress_opens_no_table_that_is_not_there(
    tmp_path, metadata_part, limits, dealt, monkeypatch, capfd
):
    looked, is_done = [], ShardPlan.is_done

    def watched(plan, folder):
        if threading.current_thread() is not threading.main_thread():
            looked.append(plan.shard)
        return is_done(plan, folder)

    monkeypatch.setattr(ShardPlan, "is_done", watched)
    plans = plan_shards([metadata_part([{}] * 3)], rows_per_shard=1)
    write_raw_shard(tmp_path, plans[1].stem, shard=1, rows=[])  # of other parameters
    dealt[1].update({1, 2})
    with pytest.raises(RuntimeError, match="2 shards missing"):
        fetch_shards(limits(), plans, folder=tmp_path, origin=None)
    assert set(looked) == {0, 1}
    assert "1/3" in capfd.readouterr().err
