"""Both engines over the whole pipeline: the behaviours that docs/engines.md promises.

Snakemake executes, DVC is the ledger. Whichever made the artefacts, the other finds nothing to do;
an edited number reruns exactly what depends on it; a killed run ends in the same bytes.
"""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.e2e.clones import ENVIRONMENT, commit, make_clone
from workflow.stages import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

NOTHING = "Nothing to be done"
REPORT = "artifacts/micro/franca/report/receipt.json"
TRAINED = {"pretrain", "finetune_highres", "rasa", "evaluate", "report"}

# One number in each section, and the stages that must run again when it is edited.
EDITS = {
    "report.max_gallery_images": (5, {"report"}),
    "evaluate.resamples": (51, {"evaluate", "report"}),
    "rasa.probe.steps": (21, {"rasa", "evaluate", "report"}),
    "pretrain.run.log_every": (2, TRAINED),
    "pack_highres.samples_per_shard": (63, TRAINED - {"pretrain"} | {"pack_highres"}),
    "pack_shards.samples_per_shard": (63, TRAINED | {"pack_shards"}),
    "scenes.jpeg_quality": (91, {stage.name for stage in STAGES}),
}


@pytest.fixture(scope="module")
def committed(snakemake_clone):
    """The finished clone, which DVC knows."""
    snakemake_clone.run("dvc", "commit", "--force", "--quiet")
    return snakemake_clone


@pytest.fixture
def editable(committed):
    """The finished clone, its params.yaml restored afterwards."""
    file = committed.root / "params.yaml"
    text = file.read_text()
    yield committed
    file.write_text(text)
    committed.run("franca", "params")


def test_1_after_snakemake_neither_engine_has_anything_to_do(snakemake_clone):
    assert NOTHING in snakemake_clone.snakemake("--dry-run").stdout
    snakemake_clone.run("dvc", "commit", "--force", "--quiet")
    assert "up to date" in snakemake_clone.run("dvc", "status").stdout
    assert NOTHING in snakemake_clone.snakemake("--dry-run").stdout
    checked = snakemake_clone.run("franca", "verify").stdout.splitlines()
    assert len(checked) == len(list(snakemake_clone.root.glob("artifacts/**/receipt.json")))


def test_2_after_dvc_neither_engine_has_anything_to_do(dvc_clone):
    assert "up to date" in dvc_clone.run("dvc", "status").stdout
    assert NOTHING in dvc_clone.snakemake("--dry-run").stdout


def test_both_engines_make_the_same_receipts(snakemake_clone, dvc_clone):
    first, second = snakemake_clone.receipts(), dvc_clone.receipts()
    assert len(first) > len(STAGES)
    assert first == second


@pytest.mark.parametrize("path", EDITS)
def test_3_an_edit_reruns_exactly_what_depends_on_it(editable, path):
    value, expected = EDITS[path]
    editable.set_parameter(path, value)
    assert editable.planned_by_snakemake() == expected
    assert editable.changed_for_dvc() == expected


def test_3_dvc_runs_what_it_said_and_snakemake_agrees(dvc_clone):
    dvc_clone.set_parameter("report.max_gallery_images", 5)
    output = dvc_clone.run("dvc", "repro").stdout
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"params", "report"}
    assert NOTHING in dvc_clone.snakemake("--dry-run").stdout


def test_an_experiment_of_dvc_reruns_what_depends_on_it_and_keeps_both_states(dvc_clone):
    commit(dvc_clone, "before")
    before = dvc_clone.receipts()
    ran = dvc_clone.run("dvc", "exp", "run", "-S", "scales.micro.report.max_gallery_images=3")
    assert "(Rule: report)" in ran.stderr
    assert "(Rule: evaluate)" not in ran.stderr
    after = dvc_clone.receipts()
    assert {path for path in before if after[path] != before[path]} == {REPORT}
    assert NOTHING in dvc_clone.snakemake("--dry-run").stdout
    dvc_clone.run("git", "checkout", "params.yaml", "dvc.lock")
    dvc_clone.run("dvc", "checkout", "--force", "--quiet")
    assert dvc_clone.receipts() == before
    assert dvc_clone.run("dvc", "exp", "list", "--name-only").stdout.split()


def test_an_experiment_may_select_another_scale(dvc_clone):
    dvc_clone.run("dvc", "exp", "run", "-S", "scale=tiny", "params")
    assert (dvc_clone.root / "artifacts/tiny/params/scenes.json").is_file()
    dvc_clone.run("git", "checkout", "params.yaml", "dvc.lock")


def test_4_a_fresh_clone_pulls_and_has_nothing_to_do(snakemake_clone, tmp_path):
    remote = tmp_path / "remote"
    snakemake_clone.run("dvc", "remote", "add", "--force", "--default", "shared", str(remote))
    snakemake_clone.run("dvc", "remote", "modify", "shared", "verify", "true")
    snakemake_clone.run("dvc", "commit", "--force", "--quiet")
    snakemake_clone.run("dvc", "push", "--quiet")
    commit(snakemake_clone, "share")
    snakemake_clone.run("git", "clone", "-q", str(snakemake_clone.root), str(tmp_path / "fresh"))
    fresh = type(snakemake_clone)(tmp_path / "fresh")
    fresh.run("franca", "pull")
    assert NOTHING in fresh.snakemake("--dry-run").stdout
    assert "up to date" in fresh.run("dvc", "status").stdout
    assert fresh.receipts() == snakemake_clone.receipts()
    for file in fresh.root.glob("artifacts/**/params/*.json"):
        file.touch()  # as DVC does when it writes them again: the content must decide
    assert NOTHING in fresh.snakemake("--dry-run").stdout
    for path in ("rasa.probe.steps", "report.max_gallery_images"):
        value, expected = EDITS[path]
        fresh.set_parameter(path, value)
        assert fresh.planned_by_snakemake() == expected
        assert fresh.changed_for_dvc() == expected
        fresh.run("git", "checkout", "params.yaml")
        fresh.run("franca", "params")
    fresh.set_parameter("report.max_gallery_images", 5)
    fresh.run("dvc", "repro", "--quiet")
    assert NOTHING in fresh.snakemake("--dry-run").stdout


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("pretrain.stepz", 1, "unknown key 'scales.micro.pretrain.stepz'; did you mean 'steps'?"),
        ("pretrain.steps", -1, "scales.micro.pretrain.steps: input should be greater than"),
    ],
)
def test_5_a_typo_stops_both_engines_with_one_line(editable, path, value, words):
    editable.set_parameter(path, value)
    for command in (("snakemake", "--cores", "2"), ("dvc", "repro")):
        done = editable.run(*command, check=False)
        assert done.returncode != 0
        assert sum(words in line for line in done.stderr.splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


def test_6_killed_at_random_moments_it_ends_in_the_same_bytes(snakemake_clone, tmp_path):
    clone = make_clone(tmp_path)
    moments = random.Random(0)
    kills = 0
    while True:
        process = subprocess.Popen(
            ["snakemake", "--cores", "2", "--rerun-incomplete", "--nolock"],
            cwd=clone.root,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(moments.uniform(8, 20) if kills < 6 else None)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.2)  # children notice that their parent is gone
    assert process.returncode == 0
    assert kills >= 3
    assert clone.receipts() == snakemake_clone.receipts()


def test_the_ablation_runs_the_baseline_too_and_compares_image_by_image(snakemake_clone):
    snakemake_clone.snakemake("ablation")
    folder = snakemake_clone.root / "artifacts/micro/ablation"
    rows = json.loads((folder / "ablation.json").read_text())["rows"]
    ladder = ["dinov2/step-0000016", "franca/step-0000016", "franca/highres", "franca/rasa"]
    knn = [row for row in rows if row["benchmark"] == "knn"]
    assert [row["checkpoint"] for row in knn] == ladder
    assert all(row["paired"] for row in knn[1:])
    assert (folder / "index.html").is_file()
    assert NOTHING in snakemake_clone.snakemake("--dry-run", "ablation").stdout
