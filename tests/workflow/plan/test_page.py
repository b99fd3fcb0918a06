"""`franca plan`: what it says of each scale, without torch; a mistake is one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from franca.models.gpus import GPUS
from workflow import params
from workflow.plan.page import describe

ROOT = Path(__file__).parents[3]
TREE = params.read(ROOT / "params.yaml")


def page(scale, variant="franca", **options):
    options = {"gpu": GPUS["h100"], "num_gpus": 64, "utilisation": 0.4} | options
    parameters = params.resolve(TREE, scale=scale, variant=variant)
    return describe(parameters, scale=scale, variant=variant, **options)


def franca(*arguments):
    return subprocess.run(
        ["franca", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("variant", TREE["variants"])
@pytest.mark.parametrize("scale", TREE["scales"])
def test_every_scale_and_variant_has_a_plan_that_fits_a_terminal(scale, variant):
    lines = page(scale, variant).splitlines()
    assert max(map(len, lines)) <= 120
    blocks = [line.split("  ")[0] for line in lines]
    assert {"model", "training", "GB per GPU", "storage"} <= set(blocks)


def test_the_papers_hours_stand_beside_ours_where_it_has_some():
    lines = [line.split() for line in page("vit_b_in21k").splitlines()]
    assert ["all", "training,", "H100", "572", "1,504", "0.38"] in lines
    assert "15.2% utilisation" in page("vit_b_in21k")
    assert "Table 8" not in page("tiny")
    assert "Table 8" not in page("vit_g_laion600m", "dinov2")


def test_replicas_are_shown_where_there_are_several():
    assert "pretrain, sharded" in page("vit_b_in21k")
    assert "pretrain, sharded" not in page("vit_b_in21k", num_gpus=1)


def test_a_model_that_fits_nowhere_is_called_that():
    small = type(GPUS["a100"])(name="small", peak=1e12, memory=1e9)
    assert "on no number of GPUs" in page("vit_g_laion600m", gpu=small)


def test_what_the_guide_shows_is_what_the_command_prints():
    guide = (ROOT / "docs" / "scales.md").read_text()
    assert page("vit_l_laion600m", num_gpus=128) in guide


def test_the_command_prints_the_page():
    done = franca("plan", "--scale", "vit_b_in21k", "--gpus", "64")
    assert done.stdout == page("vit_b_in21k") + "\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpu", "tpu"], "--gpu tpu: choose one of h100, h200, a100"),
        (["--gpus", "0"], "--gpus 0: must be at least 1 and at most"),
        (["--utilisation", "1.5"], "--utilisation 1.5: must be above 0 and at most 1"),
    ],
)
def test_a_mistake_is_one_line(arguments, words):
    done = franca("plan", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"franca: {words}")
    assert done.stderr.count("\n") == 1


def test_a_plan_imports_no_torch():
    program = (
        "import sys; from typer.testing import CliRunner; from workflow.cli import app;"
        "CliRunner().invoke(app, ['plan', '--scale', 'vit_l_laion600m'], catch_exceptions=False);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
