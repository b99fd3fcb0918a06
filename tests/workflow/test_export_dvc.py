"""dvc.yaml is what the stage table says, and asks Snakemake for one block at a time."""

import subprocess
import sys
from pathlib import Path

import yaml

from workflow import export_dvc
from workflow.stages import BY_NAME

ROOT = Path(__file__).parents[2]


def test_the_committed_file_is_the_generated_one():
    assert (ROOT / "dvc.yaml").read_text() == export_dvc.render()


def test_a_stale_file_is_shown_and_refused(tmp_path):
    (tmp_path / "dvc.yaml").write_text(export_dvc.render().replace("pretrain", "pretrian"))
    done = subprocess.run(
        [sys.executable, "-m", "workflow.export_dvc", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "-  pretrian:" in done.stdout
    assert "dvc.yaml is stale" in done.stderr


def test_each_stage_allows_its_own_rules_only():
    stages = yaml.safe_load(export_dvc.render())["stages"]
    for name, entry in stages.items():
        if name == "params":
            continue
        allowed = entry["cmd"].split("--allowed-rules ")[1].split(" --config")[0].split()
        assert allowed == ([name, f"{name}_{part}"] if (part := BY_NAME[name].fan_out) else [name])
        assert not any("persist" in str(out) for out in entry["outs"])
