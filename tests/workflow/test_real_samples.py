"""Real images through the same door: Tiny-ImageNet, CIFAR-10 as novel, CamVid, a DAVIS video."""

from pathlib import Path

import pytest

from workflow.evaluations import Grid
from workflow.params import DEFAULT_FILE, read, resolve

SAMPLES = Path(__file__).parents[3] / "shared/data"
DAVIS = "{kind: video, format: davis, root: data/davis, test_split: val, licence: research use}"
FEW = {"tiny_imagenet": (600, 60), "cifar10": (None, 60), "camvid": (12, 6)}
SETTINGS = [
    f"evaluation_sets.davis={DAVIS}",
    "evaluate.frame_side=64",
    *(f"evaluation_sets.{name}.max_test={test}" for name, (_, test) in FEW.items()),
    *(f"evaluation_sets.{name}.max_train={train}" for name, (train, _) in FEW.items() if train),
]
MAIN = {
    "knn": ("tiny_imagenet", "top1@k20", 1.0),
    "logreg": ("tiny_imagenet", "top1", 1.0),
    "ood": ("tiny_imagenet", "auroc@max_logit-near", None),
    "in_context": ("camvid", "miou", None),
    "video_segmentation": ("davis", "j_and_f", None),
}

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not here")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What an untrained model and perfect features reach on a few images of each set."""
    parameters = resolve(
        read(DEFAULT_FILE.absolute()), scale="small", variant="franca", settings=SETTINGS
    )
    root = tmp_path_factory.mktemp("real")
    (root / "data").symlink_to(SAMPLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        grid = Grid(
            parameters=parameters,
            scale="small",
            variant="franca",
            models={"untrained": "random:vit_tiny"},
            benchmarks=list(MAIN),
            datasets=[],
            limit=None,
            output=root / "evaluations",
        )
        suite, tasks = grid.suite("untrained"), grid.tasks()
        found = suite.run(tasks, root / "evaluations/untrained", title="untrained")
        perfect = suite.bounds(tasks)
    return [{(m.benchmark, m.dataset, m.metric): m for m in part} for part in (found, perfect)]


@pytest.mark.parametrize("name", MAIN)
def test_an_untrained_model_is_below_perfect_features(measured, name):
    dataset, metric, end = MAIN[name]
    untrained, perfect = (part[name, dataset, metric].value for part in measured)
    assert 0 <= untrained < perfect - 0.2
    assert perfect <= 1
    assert end is None or perfect == end


def test_each_benchmark_sees_as_many_images_as_are_allowed(measured):
    found, _ = measured
    counts = {(m.dataset, m.n) for m in found.values() if m.benchmark in ("knn", "in_context")}
    assert counts == {("tiny_imagenet", 60), ("camvid", 6)}
