"""`franca eval` from the list of benchmarks to a table beside the paper, on a small world."""

import json
import pickle
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from franca.eval.registry import BENCHMARKS
from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.randomness import generator
from tests.franca.eval.worlds import write_parquet, write_voc
from workflow.cli import app

ROOT = Path(__file__).parents[2]
KNN_AND_DEPTH = [
    *("--benchmark", "knn", "--benchmark", "depth"),
    *("--dataset", "objects", "--dataset", "segmentation"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project with published scenes and two checkpoints of scale tiny."""
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    published = root / "artifacts/tiny"
    write_parquet(published / "scenes/objects", "train", list(range(3)) * 10, seed=1)
    write_parquet(published / "scenes/objects", "val", list(range(3)) * 4, seed=2)
    write_voc(published / "scenes/segmentation", {"train": 12, "val": 4})
    (published / "scenes/segmentation/classes.txt").unlink()  # it has three, scale tiny nine
    for seed, place in enumerate(
        ("pretrain/checkpoints/step-0000000", "finetune_highres/checkpoints/highres")
    ):
        file = published / "franca" / f"{place}.safetensors"
        file.parent.mkdir(parents=True)
        model = build_vit("vit_tiny", image_size=64, generator=generator(seed, "test"))
        save_backbone(model, file, metadata={})
    return root


@pytest.fixture
def franca(world, monkeypatch):
    monkeypatch.chdir(world)

    def call(*arguments):
        return CliRunner().invoke(app, ["eval", *arguments], catch_exceptions=False)

    return call


@pytest.fixture(scope="module")
def results(world):
    """Both checkpoints evaluated; the first ran under a name of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        models = ["--model", "random=step-0000000", "--model", "highres"]
        done = CliRunner().invoke(app, ["eval", "run", *models, *KNN_AND_DEPTH])
    assert done.exit_code == 0, done.output
    return world / "evaluations"


def test_list_names_every_benchmark_and_the_sets_that_fit(franca):
    text = franca("list").stdout
    for benchmark in BENCHMARKS.values():
        assert f"\n{benchmark.name} " in text
    assert "objects" in next(line for line in text.splitlines() if line.startswith("knn "))


def test_show_explains_parameters_and_quotes_the_paper(franca):
    text = franca("show", "knn", "--scale", "vit_b_in21k").stdout
    assert BENCHMARKS["knn"].source in text
    assert "temperature" in text
    assert "of the softmax-weighted vote" in text
    assert "Franca ViT-L/14" in text
    assert "the paper reports no number of it" in franca("show", "depth").stdout


def test_a_run_leaves_metrics_evidence_and_addresses(results):
    for name in ("random", "highres"):
        rows = json.loads((results / name / "metrics.json").read_text())
        assert {row["benchmark"] for row in rows} == {"knn", "depth"}
        assert (results / name / "evidence/knn-objects.npz").is_file()
        details = json.loads((results / name / "details.json").read_text())
        assert details["tasks"]["knn-objects"]["address"]["crop"] == {"crop": 64, "resize": 64}


def test_a_dry_run_says_what_is_there_and_what_the_rest_costs(franca, results):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    text = franca(
        "run", "--model", "highres", "--benchmark", "knn", "--benchmark", "logreg", "--dry-run"
    ).stdout
    states = {line.split()[0]: line for line in text.splitlines()[2:4]}
    assert states["knn"].endswith("is there")
    assert states["logreg"].endswith("to run")
    assert "1 to run; features:" in text
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.json")} == before


def test_a_second_run_changes_nothing_and_a_limit_is_another_result(franca, results):
    file = results / "highres/metrics.json"
    before = file.read_bytes()
    franca("run", "--model", "highres", *KNN_AND_DEPTH)
    assert file.read_bytes() == before
    franca("run", "--model", "few=highres", "--benchmark", "knn", "--limit", "6")
    rows = json.loads((results / "few/metrics.json").read_text())
    assert {row["n"] for row in rows} == {6}


def test_comparison_is_paired(franca, results):
    text = franca("compare", str(results / "highres"), str(results / "random")).stdout
    line = next(line for line in text.splitlines() if "top1@k20" in line)
    rows = [
        json.loads((results / name / "metrics.json").read_text()) for name in ("highres", "random")
    ]
    ours, theirs = (next(r["value"] for r in each if r["metric"] == "top1@k20") for each in rows)
    assert f"{ours:.3f}  " in line
    assert f"{ours - theirs:+.3f} [" in line


def test_any_model_goes_through_the_same_door(franca, results):
    models = ["--model", "random:vit_tiny", "--model", "other=random:vit_tiny"]
    franca("run", *models, "--benchmark", "knn")
    ours, named = (
        json.loads((results / name / "metrics.json").read_text())
        for name in ("random-vit_tiny", "other")
    )
    assert ours == named  # always the same random weights
    assert {row["benchmark"] for row in ours} == {"knn"}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("markdown", "| knn | objects | top1@k1 ↑ | fraction |"),
        ("csv", "highres,depth,segmentation,rmse,"),
        ("latex", r"depth & segmentation & rmse $\downarrow$ & m"),
    ],
)
def test_tables(franca, results, form, words):
    folders = [str(results / name) for name in ("random", "highres")]
    assert words in franca("table", *folders, "--format", form).stdout


def test_beside_the_paper_nothing_embedded_is_comparable(franca, results):
    text = franca("table", str(results / "highres"), "--paper", "Franca ViT-B/14").stdout
    assert "verdict" in text.splitlines()[0]
    assert "Table" not in text  # the paper has no such sets


def test_ground_truth_of_retrieval_is_converted(franca, results):
    file = results / "gnd_roxford5k.pkl"
    file.write_bytes(pickle.dumps({"imlist": ["a"], "qimlist": [], "gnd": []}))
    assert franca("convert", str(file)).stdout.strip() == str(file.with_suffix(".json"))
    assert json.loads(file.with_suffix(".json").read_text())["imlist"] == ["a"]


def test_a_dry_run_counts_images_that_only_pass_through(franca, results):  # noqa: ARG001  a world
    def minutes(*settings):
        text = franca(
            "run", "--model", "few=highres", "--benchmark", "linear", "--dry-run", *settings
        ).stdout
        return float(re.search(r"features: ([\d.]+) min", text)[1])

    assert minutes("--set", "evaluate.linear.steps=2000000") > 10 * max(minutes(), 0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--model", "highres", "--benchmark", "kn"], "--benchmark kn: not one of knn"),
        (["run", "--model", "highres", "--dataset", "mine"], "--dataset mine: not one of objects"),
        (["run", "--model", "step-0000007"], "step-0000007.safetensors: no such file"),
        (["run", "--model", "a/b=highres"], "write NAME=WHAT with a name for a folder"),
        (
            ["run", "--model", "highres", "--benchmark", "knn", "--dataset", "pairs"],
            "none of the b",
        ),
        (["run", "--model", "timmy:vit"], "write FAMILY:NAME, with one of franca, timm"),
        (["run", "--model", "timm:vit_tiny_patch16_224@no.pth"], "no.pth: no such file"),
        (["convert", "gnd_roxford5k.pkl"], "gnd_roxford5k.pkl: not there; get it from"),
        (["show", "kn"], "no benchmark 'kn'; known: knn"),
        (["table", "nowhere"], "nowhere/metrics.json: not there; make it with `franca eval run`"),
        (["table", "evaluations/highres", "--paper", "GPT"], "not one of Franca ViT-B/14"),
    ],
)
def test_mistakes_are_named(franca, results, arguments, message):  # noqa: ARG001  a folder to read
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        franca(*arguments)


def test_seeds_are_told_apart_from_images(franca, results):
    arguments = ["--benchmark", "knn", "--set", "seed=1"]
    franca("run", "--model", "again=highres", *arguments)
    lines = franca("seeds", str(results / "highres"), str(results / "again")).stdout.splitlines()
    assert "sd of seeds" in lines[0]
    row = next(line.split() for line in lines if "top1@k20" in line)
    assert row[3] == "2"
    assert float(row[5]) == 0.0  # nothing in k-NN is drawn
    assert row[6].startswith("±")
