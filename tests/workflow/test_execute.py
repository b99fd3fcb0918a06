"""Running a stage: where it works and logs, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.franca.data.conftest import jpeg, pack
from workflow import receipts
from workflow.execute import Run, run_stage
from workflow.params import read, resolve
from workflow.stages import BY_NAME

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and shards; the process is in it."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shards = pack(tmp_path / "staging", {f"{index:04d}": jpeg(seed=index) for index in range(24)})
    receipt = receipts.make(shards, stage="pack_shards", parameters={}, inputs={}, summary={})
    receipts.publish(shards, tmp_path / "artifacts/micro/pack_shards", receipt)
    monkeypatch.chdir(tmp_path)
    for library in ("OMP", "MKL", "OPENBLAS"):  # set by a stage
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    return tmp_path


def run_of(stage, *settings):
    parameters = resolve(read(), scale="micro", variant="franca", settings=settings)
    return Run(stage=BY_NAME[stage], scale="micro", variant="franca", parameters=parameters)


@pytest.mark.slow
def test_runs_of_other_parameters_log_apart_and_leave_no_work(project):
    for seed in (0, 1):
        run_stage(run_of("pretrain", f"seed={seed}"))
        published = receipts.read(project / "artifacts/micro/franca/pretrain")
        assert published["parameters"]["seed"] == seed
    logs = project / "logs/micro/franca/pretrain"
    for folder in logs.iterdir():
        rows = (folder / "speed.jsonl").read_text().splitlines()
        assert [json.loads(row)["step"] for row in rows] == list(range(16))
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert len(list(logs.iterdir())) == 2
    assert not list((project / "work").rglob("metrics.jsonl"))


@pytest.mark.usefixtures("project")
def test_a_stage_that_does_not_train_is_refused_under_torchrun(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="rasa runs in one process: start it without torchrun"):
        run_stage(run_of("rasa"))


def test_a_missing_input_is_named_before_anything_runs(project):
    with pytest.raises(FileNotFoundError, match=r"finetune_highres/receipt\.json: not there"):
        run_stage(run_of("rasa"))
    assert not (project / "logs").exists()
