"""What ran, as the receipts tell it."""

import dataclasses

import pytest

from franca.report.figures import Figures
from franca.report.receipts import Run, read_run
from franca.report.sections.pipeline import build_pipeline


@pytest.fixture
def run(finished_run):
    return read_run(finished_run)


def test_stages_are_drawn_with_what_they_published(run, tmp_path):
    plot, note = build_pipeline(run, Figures(tmp_path, dpi=50)).blocks
    assert all(f">{stage}</text>" in plot.svg for stage in run.receipts)
    assert "all receipts agree" in note.text


def test_disagreeing_receipts_are_told(run, tmp_path):
    remade = dataclasses.replace(run.receipts["scenes"], digest="another")
    changed = dataclasses.replace(run, receipts={**run.receipts, "scenes": remade})
    note = build_pipeline(changed, Figures(tmp_path, dpi=50)).blocks[1]
    assert note.kind == "missing"
    assert "`evaluate` read another `scenes`" in note.text


def test_no_receipts(tmp_path):
    empty = Run(scale="s", variant="v", receipts={})
    (block,) = build_pipeline(empty, Figures(tmp_path, dpi=50)).blocks
    assert block.kind == "missing"
