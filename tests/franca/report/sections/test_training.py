"""Training curves: one panel a quantity, levels of a quantity together."""

import json

from franca.report.figures import Figures
from franca.report.sections.training import build_training
from franca.report.training_log import read_log


def test_levels_share_the_panel_of_their_quantity(finished_run, tmp_path):
    log = read_log(finished_run["pretrain"])
    section = build_training({"pretrain": log}, Figures(tmp_path, dpi=50))
    plot = next(block for block in section.blocks if block.kind == "plot")
    assert plot.alt.startswith("Pretraining: curves of loss, dino global, dino local, ibot, koleo,")
    for label in ("d/4", "d/2", "d"):
        assert plot.svg.count(f">{label}</text>") == 1


def test_a_missing_log_is_said(tmp_path):
    section = build_training({}, Figures(tmp_path, dpi=50))
    assert [block.kind for block in section.blocks] == ["missing", "missing"]


def test_the_last_step_is_told(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 7, "loss": 1.0}) + "\n")
    log = read_log(tmp_path)
    section = build_training({"finetune_highres": log}, Figures(tmp_path / "figures", dpi=50))
    assert section.blocks[1].text == "**High-resolution fine-tuning**, to step 7."
