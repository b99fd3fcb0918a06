"""Jobs on several cores: the number of cores changes nothing."""

import os

import pytest

from data_filters.io.processes import VARIABLE, num_workers, run_jobs


def test_the_machine_says_how_many(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert num_workers() == 3
    monkeypatch.delenv(VARIABLE)
    assert num_workers() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("setting", ["0", "two", ""])
def test_a_setting_that_makes_no_sense_is_named(monkeypatch, setting):
    monkeypatch.setenv(VARIABLE, setting)
    with pytest.raises(ValueError, match=f"{VARIABLE}='{setting}'"):
        num_workers()


def test_a_handful_of_jobs_runs_here():
    assert list(run_jobs(id_of_process, [1, 2], label="test")) == [os.getpid()] * 2
    assert list(run_jobs(id_of_process, [], label="test")) == []


@pytest.mark.slow
def test_results_come_in_order_from_other_processes(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    assert list(run_jobs(str, list(range(20)), label="test")) == [str(n) for n in range(20)]
    assert os.getpid() not in list(run_jobs(abs, [-1] * 20, label="test"))


def id_of_process(_):
    return os.getpid()
