"""The stage on a small world: every benchmark, three kinds of checkpoint, twice the same bytes."""

import json

import numpy as np
import pytest
import torch

from franca.config.evaluate import Evaluate
from franca.config.evaluation_sets import EvaluationSet
from franca.data.scenes.layouts import write_pairs, write_views
from franca.eval.registry import BENCHMARKS
from franca.eval.truth.truths import TRUTHS
from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.randomness import generator
from franca.rasa.linear_map import LinearMap, save_map
from franca.stages.evaluate import gather, load_checkpoint, run
from tests.franca.config.sections import EVALUATE, SEGMENTATION
from tests.franca.eval.worlds import (
    CLASSES,
    rendered_pair,
    seen_wall,
    write_parquet,
    write_videos,
    write_voc,
)

CPU = torch.device("cpu")
LABELS = SEGMENTATION | {"num_classes": None, "ignore_index": None, "format": "parquet"}
SETS = {
    "objects": EvaluationSet(**(LABELS | {"kind": "classification", "root": "{scenes}/objects"})),
    "segmentation": EvaluationSet(**(SEGMENTATION | {"num_classes": 3})),
    "videos": EvaluationSet(
        **(LABELS | {"kind": "video", "format": "davis", "root": "{scenes}/videos"})
    ),
    "sketches": EvaluationSet(
        **(LABELS | {"kind": "shifted", "root": "{scenes}/sketches", "known_set": "objects"})
    ),
    "retrieval_pairs": EvaluationSet(
        **(LABELS | {"kind": "retrieval", "format": "pairs", "root": "{scenes}/pairs"})
    ),
    **{
        f"novel_{group}": EvaluationSet(
            **(
                LABELS
                | {"kind": "novel", "root": "{scenes}/novel", "test_split": group}
                | {"known_set": "objects", "group": group}
            )
        )
        for group in ("near", "far")
    },
    "pairs": EvaluationSet(
        **(LABELS | {"kind": "pairs", "format": "pairs", "root": "{scenes}/pairs"})
    ),
    "views": EvaluationSet(
        **(LABELS | {"kind": "views", "format": "views", "root": "{scenes}/views"})
    ),
}
SET_OF_KIND = {
    "classification": "objects",
    "fine_grained": "objects",
    "probe": "objects",
    "shifted": "sketches",
    "retrieval": "retrieval_pairs",
    "segmentation": "segmentation",
    "novelty": "objects",
    "pictures": "segmentation",
    "pairs": "pairs",
    "raw_pairs": "pairs",
    "discovery": "segmentation",
    "video": "videos",
    "geometry": "segmentation",
    "view_pairs": "views",
    "scenes": "views",
}
TASKS = [
    {"benchmark": name, "evaluation_set": SET_OF_KIND[benchmark.kind]}
    for name, benchmark in BENCHMARKS.items()
]
NAMES = ["step-0000000", "step-0000010", "highres", "rasa"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Published folders: a world, three backbones and a map that removes two directions."""
    root = tmp_path_factory.mktemp("artifacts")
    write_parquet(root / "scenes/objects", "train", list(range(3)) * 10, seed=1)
    write_parquet(root / "scenes/objects", "val", list(range(3)) * 4, seed=2)
    write_parquet(root / "scenes/sketches", "val", [0, 1] * 3, names=CLASSES[1:], seed=4)
    for seed, group in enumerate(("near", "far"), start=3):
        write_parquet(root / "scenes/novel", group, [0] * 5, names=("other", "else"), seed=seed)
    write_voc(root / "scenes/segmentation", {"train": 8, "val": 4})
    write_videos(root / "scenes/videos", {"first": 4, "second": 3})
    write_pairs(root / "scenes/pairs", [rendered_pair(seed) for seed in range(6)])
    write_views(root / "scenes/views", {f"scene{i}": seen_wall(seed=i) for i in range(2)})
    stages = {name: root / name for name in ("scenes", "pretrain", "finetune_highres", "rasa")}
    for name in ("pretrain", "finetune_highres"):
        (stages[name] / "checkpoints").mkdir(parents=True)
    for index, name in enumerate(NAMES[:3]):
        model = build_vit(
            "vit_tiny", patch_size=4, image_size=16, generator=generator(index, "test")
        )
        stage = "finetune_highres" if name == "highres" else "pretrain"
        save_backbone(model, stages[stage] / f"checkpoints/{name}.safetensors", metadata={})
    stages["rasa"].mkdir()
    plane = torch.linalg.qr(torch.randn(model.embed_dim, 2, generator=generator(0, "plane"))).Q
    linear_map = LinearMap(plane, plane.T.contiguous(), torch.zeros(model.embed_dim))
    save_map(linear_map, stages["rasa"] / "map.safetensors")
    return stages


def evaluate(inputs, folder, checkpoint, **changes):
    output = folder / "output" / checkpoint
    output.mkdir(parents=True)
    summary = run(
        Evaluate(**(EVALUATE | {"tasks": TASKS} | changes)),
        seed=0,
        evaluation_sets=SETS,
        inputs=inputs,
        output=output,
        work=folder / "work" / checkpoint,
        checkpoint=checkpoint,
    )
    return output, summary


@pytest.fixture(scope="module")
def published(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    return {name: evaluate(inputs, folder, name)[0] for name in NAMES}


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_benchmark_reports_every_metric(published):
    rows = json.loads((published["step-0000000"] / "metrics.json").read_text())
    found = {(row["benchmark"], row["metric"].partition("@")[0]) for row in rows}
    assert found == {(b.name, spec.name) for b in BENCHMARKS.values() for spec in b.metrics}
    for row in rows:
        low, high = row["ci95"]
        assert low <= high
        assert row["n"] in (2, 3, 4, 6, 12, 17, 30)


FROM_TRAIN = ("classification", "fine_grained", "probe", "segmentation", "novelty", "pictures")
LEARNT = {kind: {"train"} for kind in (*FROM_TRAIN, "geometry")}
LEARNT["shifted"] = {"train", "validation"}


def test_an_address_has_every_image_that_is_scored_or_learnt_from(published):
    tasks = json.loads((published["step-0000000"] / "details.json").read_text())["tasks"]
    assert len(tasks) == len(TASKS)
    for task in TASKS:
        name = task["benchmark"]
        address = tasks[f"{name}-{task['evaluation_set']}"]["address"]
        assert set(address["learnt"]) == LEARNT.get(BENCHMARKS[name].kind, set()), name
        digests = [*address["images"].split(), *address["learnt"].values()]
        assert len(set(digests)) == len(digests), name
        assert all(len(digest) >= 32 for digest in digests)


def test_outputs_are_complete_and_repeat_byte_for_byte_with_no_token_stored(
    inputs, published, tmp_path
):
    again, summary = evaluate(inputs, tmp_path, "highres", max_feature_gigabytes=1e-9)
    stored = {path.name for path in tmp_path.rglob("features/*/*.npy")}
    assert stored == {"cls.npy", "mean_patch.npy"}  # whole images are always stored
    first = files(published["highres"])
    assert files(again) == first
    names = [f"{task['benchmark']}-{task['evaluation_set']}.npz" for task in TASKS]
    arrays = {f"evidence/{name}" for name in names}
    arrays |= {f"predictions/{name}" for name in names if not name.startswith("spatial_entropy")}
    assert set(first) == {"metrics.json", "details.json", "samples.npz"} | arrays
    rows = json.loads(first["metrics.json"])
    assert len(summary) == len(rows)
    assert summary["knn/objects/top1@k20"] in {row["value"] for row in rows}


def test_samples_hold_what_in_context_predicts(published):
    with np.load(published["highres"] / "samples.npz") as samples:
        images, segmented = samples["images"], samples["segmented"]
    assert images.shape == (2, 16, 16, 3)
    assert segmented.shape == (2, 16, 16)
    with np.load(published["highres"] / "evidence/in_context-segmentation.npz") as evidence:
        first, last = evidence["confusion"][[0, -1]]  # the two samples are the ends of the split
    for mask, confusion in zip(segmented, (first, last), strict=True):
        predicted = np.bincount(mask.ravel(), minlength=3)
        assert (confusion.sum(0) <= predicted).all()  # void pixels are not in the matrix


def test_batches_change_no_result(inputs, published, tmp_path):
    again, _ = evaluate(inputs, tmp_path, "step-0000010", batch_size=3)
    for path in (again, published["step-0000010"]):
        assert (path / "metrics.json").is_file()
    one, other = (
        {(r["benchmark"], r["metric"]): r["value"] for r in json.loads(text)}
        for text in (
            (again / "metrics.json").read_text(),
            (published["step-0000010"] / "metrics.json").read_text(),
        )
    )
    for key in (("position", "r2"), ("depth", "rmse"), ("in_context", "pixel_accuracy")):
        assert one[key] == pytest.approx(other[key], abs=0.02)


def test_rasa_changes_patches_only(inputs):
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    models = {name: load_checkpoint(name, inputs, device=CPU) for name in ("highres", "rasa")}
    with torch.inference_mode():
        plain, mapped = (models[n][0].forward_features(images) for n in ("highres", "rasa"))
        *earlier, last = models["rasa"][0].forward_intermediate(images, 2)
    assert models["highres"][1] != models["rasa"][1]
    assert torch.equal(plain.cls, mapped.cls)
    assert torch.equal(last.patches, mapped.patches)
    assert len(earlier) == 1
    with torch.inference_mode():
        untouched = models["highres"][0].forward_intermediate(images, 2)
    for before, after in zip(untouched, (*earlier, last), strict=True):
        assert torch.equal(before.cls, after.cls)
    assert torch.equal(untouched[0].patches, earlier[0].patches)
    difference = plain.patches - mapped.patches
    assert torch.linalg.matrix_rank(difference.flatten(0, 1), rtol=1e-4) == 2


@pytest.mark.parametrize("task", ["knn-objects", "logreg-objects", "ood-objects"])
def test_what_reads_cls_tokens_is_the_same_bits_with_and_without_the_map(published, task):
    plain, mapped = (np.load(published[n] / f"evidence/{task}.npz") for n in ("highres", "rasa"))
    assert plain.files == mapped.files
    for name in plain.files:
        np.testing.assert_array_equal(plain[name], mapped[name])


def test_gather_joins_and_compares(inputs, published, tmp_path):
    summary = gather(
        Evaluate(**(EVALUATE | {"tasks": TASKS})),
        seed=0,
        evaluation_sets=SETS,
        parts=published,
        inputs=inputs,
        output=tmp_path,
        work=tmp_path / "work",
    )
    assert set(files(tmp_path)) == {"results.json", "results.csv", "results.md", "comparisons.json"}
    rows = json.loads((tmp_path / "results.json").read_text())
    assert list(dict.fromkeys(row["checkpoint"] for row in rows)) == [*NAMES, "ground_truth"]
    assert summary["checkpoints"] == 4
    perfect = [row for row in rows if row["checkpoint"] == "ground_truth"]
    assert {row["benchmark"] for row in perfect} == set(TRUTHS)
    assert summary["metrics"] * 4 == len(rows) - len(perfect)
    comparisons = json.loads((tmp_path / "comparisons.json").read_text())
    pairs = {(row["checkpoint"], row["baseline"]) for row in comparisons}
    assert pairs == {(name, NAMES[0]) for name in NAMES[1:]} | {
        ("highres", "step-0000010"),
        ("rasa", "highres"),
    }
    for row in comparisons:
        if (row["benchmark"], row["baseline"], row["checkpoint"]) == ("knn", "highres", "rasa"):
            assert (row["difference"], row["p_value"]) == (0.0, 1.0)


def test_perfect_features_reach_the_ends_of_the_scales(published):
    rows = json.loads((published[NAMES[0]] / "bounds.json").read_text())
    values = {(row["benchmark"], row["metric"]): row["value"] for row in rows}
    exact = {
        ("knn", "top1@k20"): 1.0,
        ("knn", "top1@d/2"): 1.0,
        ("logreg", "top1"): 1.0,
        ("ood", "auroc@knn2-near"): 1.0,
        ("ood", "auroc@msp-far"): 1.0,
        ("depth", "rmse@scale_invariant"): 0.0,
        ("normals", "within11"): 1.0,
        ("position", "r2"): 1.0,
    }
    assert {key: values[key] for key in exact} == pytest.approx(exact, abs=0.01)


def test_samples_serve_the_report(published):
    with np.load(published["rasa"] / "samples.npz") as archive:
        assert archive["images"].shape == (2, 16, 16, 3)
        assert archive["patches"].shape[:2] == (2, 16)
        assert archive["grid"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([("knn", "nowhere")], "names the set 'nowhere', which evaluation_sets does not"),
        ([("knn", "segmentation")], "knn on segmentation, a segmentation set: it needs a classif"),
    ],
)
def test_tasks_that_do_not_fit_stop_before_any_work(inputs, tmp_path, tasks, message):
    wrong = [{"benchmark": name, "evaluation_set": target} for name, target in tasks]
    with pytest.raises(ValueError, match=message):
        evaluate(inputs, tmp_path, "highres", tasks=wrong)
    assert not (tmp_path / "work").exists()


def test_between_the_ends_of_pretraining_only_quick_benchmarks_run(inputs, tmp_path):
    folder = tmp_path / "pretrain" / "checkpoints"
    folder.mkdir(parents=True)
    first, last = (inputs["pretrain"] / f"checkpoints/{name}.safetensors" for name in NAMES[:2])
    for name, source in (("0000000", first), ("0000005", last), ("0000010", last)):
        (folder / f"step-{name}.safetensors").write_bytes(source.read_bytes())
    chosen = [task for task in TASKS if task["benchmark"] in ("logreg", "depth")]
    ran = {}
    for step in (5, 10):
        moved = inputs | {"pretrain": folder.parent}
        output, _ = evaluate(moved, tmp_path, f"step-{step:07d}", tasks=chosen)
        ran[step] = {row["benchmark"] for row in json.loads((output / "metrics.json").read_text())}
    assert ran == {5: {"depth"}, 10: {"depth", "logreg"}}  # logreg is not quick


def test_missing_checkpoint_is_named(inputs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"step-0000099.safetensors: no such file"):
        evaluate(inputs, tmp_path, "step-0000099")


def test_without_dense_sets_there_are_no_samples(inputs, tmp_path):
    output, _ = evaluate(inputs, tmp_path, "highres", tasks=TASKS[:1])
    assert not (output / "samples.npz").exists()
