"""Reading the accounts of the filters."""

import json
from itertools import pairwise

import pytest

from franca.report.funnel import read_funnel


def test_steps_chain(finished_run):
    steps = read_funnel(finished_run["pack_shards"])
    assert steps[0].entered == 1000
    assert all(a.kept == b.entered for a, b in pairwise(steps))


def test_no_funnel_is_an_empty_one(tmp_path):
    assert read_funnel(tmp_path) == []


def test_accounts_that_do_not_add_up_are_refused(tmp_path):
    account = {"stage": "s", "filter": "f", "in": 10, "kept": 7, "dropped": 2, "reasons": {"r": 2}}
    (tmp_path / "funnel.json").write_text(json.dumps([account]))
    with pytest.raises(ValueError, match="s/f took 10 in but accounts for 7 kept and 2 dropped"):
        read_funnel(tmp_path)
