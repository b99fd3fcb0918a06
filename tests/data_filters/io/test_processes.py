"""Jobs on several cores: the number of cores changes nothing."""

import os

import pytest

from data_filters.io.processes import (
    MEMORY_VARIABLE,
    VARIABLE,
    memory_megabytes,
    num_workers,
    run_jobs,
)


def test_the_machine_says_how_many(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert num_workers() == 3
    monkeypatch.delenv(VARIABLE)
    assert num_workers() == len(os.sched_getaffinity(0))


def test_memory_is_what_the_rule_says(monkeypatch):
    monkeypatch.setenv(MEMORY_VARIABLE, "2000")
    assert memory_megabytes() == 2000
    monkeypatch.delenv(MEMORY_VARIABLE)
    assert memory_megabytes() == 4000


@pytest.mark.parametrize(
    ("variable", "read"), [(VARIABLE, num_workers), (MEMORY_VARIABLE, memory_megabytes)]
)
@pytest.mark.parametrize("setting", ["0", "two", ""])
def test_a_setting_that_makes_no_sense_is_named(monkeypatch, variable, read, setting):
    monkeypatch.setenv(variable, setting)
    with pytest.raises(ValueError, match=f"{variable}='{setting}'"):
        read()


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
