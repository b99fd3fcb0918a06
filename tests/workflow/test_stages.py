"""A stage is a word: every place that must know it does, and the message names the one that not."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

import data_filters.config
import franca.config
from workflow import params
from workflow.cli import app
from workflow.stages import BY_NAME, STAGES, artifact_folder, params_file

ROOT = Path(__file__).parents[2]
RULES = "\n".join(file.read_text() for file in sorted(ROOT.glob("workflow/rules/*.smk")))
CONFIGS = {"data_filters": data_filters.config, "franca": franca.config}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_place_knows_the_stage(stage):
    base = params.read(ROOT / "params.yaml")["base"]
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    places = {
        "section of params.yaml (base)": stage.name in base,
        f"class {stage.class_name} in {stage.package}.config": hasattr(
            CONFIGS[stage.package], stage.class_name
        ),
        f"module {stage.package}/stages/{stage.name}.py": (
            ROOT / stage.package / "stages" / f"{stage.name}.py"
        ).is_file(),
        "sub-command of franca": stage.name in {info.name for info in app.registered_commands},
        "rule in workflow/rules": bool(re.search(rf"^rule {stage.name}:", RULES, re.M)),
        "stage in dvc.yaml": stage.name in dvc,
    }
    assert [place for place, known in places.items() if not known] == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_run_takes_what_the_table_promises(stage):
    run = importlib.import_module(f"{stage.package}.stages.{stage.name}").run
    expected = {"seed", "inputs", "output", "work", *stage.shared}
    if stage.fan_out:
        expected.add(stage.fan_out)
    if stage.trains:
        expected |= {"logs", "stop"}
    keywords = {
        name
        for name, parameter in inspect.signature(run).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords == expected


def test_no_place_knows_a_stage_that_the_table_does_not():
    base = set(params.read(ROOT / "params.yaml")["base"]) - {"seed", "evaluation_sets"}
    dvc = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) - {"params"}
    parts = {f"{stage.name}_{stage.fan_out}" for stage in STAGES if stage.fan_out}
    rules = set(re.findall(r"^rule (\w+):", RULES, re.M)) - parts
    assert base == dvc == rules == set(BY_NAME)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_gather_takes_what_run_takes_but_all_parts(stage):
    module = importlib.import_module(f"{stage.package}.stages.{stage.name}")
    assert hasattr(module, "gather") == bool(stage.fan_out)
    if stage.fan_out:
        run, gather = (list(inspect.signature(f).parameters) for f in (module.run, module.gather))
        assert set(gather) == set(run) - {stage.fan_out} | {"parts"}


def test_needs_point_backwards():
    for position, stage in enumerate(STAGES):
        earlier = {other.name for other in STAGES[:position]}
        assert set(stage.needs) <= earlier, stage.name


def test_groups_read_groups_of_stages_that_have_them():
    for stage in STAGES:
        assert set(stage.by_group) <= set(stage.needs), stage.name
        assert all(BY_NAME[name].fan_out == "group" for name in stage.by_group), stage.name
        assert not stage.by_group or stage.fan_out == "group"


def test_data_stages_do_not_depend_on_the_variant():
    for stage in STAGES:
        folders = {artifact_folder(stage, scale="tiny", variant=v) for v in ("franca", "dinov2")}
        assert len(folders) == (2 if stage.per_variant else 1)
        needs_a_variant = any(BY_NAME[name].per_variant for name in stage.needs)
        assert stage.per_variant or not needs_a_variant, stage.name


def test_resolved_parameters_lie_outside_the_stage_folder():
    """DVC and `publish` both empty the folder before the stage writes to it."""
    for stage in STAGES:
        folder = artifact_folder(stage, scale="tiny", variant="franca")
        assert folder not in params_file(stage, scale="tiny", variant="franca").parents
