"""What must not change a score, and the ends of every scale: properties of all benchmarks.

Inputs are random (`toys`); hypothesis draws their seeds, always the same ones.
"""

from typing import get_args

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from franca.eval.benchmark import Kind
from franca.eval.neighbours import cosine_search
from franca.eval.registry import BENCHMARKS
from franca.eval.truth.truths import TRUTHS
from tests.franca.eval.toy_changes import in_another_order, with_features
from tests.franca.eval.toy_runs import CPU, NAMES, PARAMETERS, generator, random_inputs, values
from tests.franca.eval.toys import CLASSES, DIM, INPUTS

# Clusters are learnt on the scored images themselves, from a sample of their patches.
LEARN_ON_TEST = {"overclustering", "spatial_entropy"}
# Distances, angles and least squares do not see the axes; SGD, standardised features and k-means'
# sample do, or only up to their own convergence.
ANGLES_ONLY = {
    "correspondence", "depth", "feat2gs_lite", "hummingbird", "in_context", "keypoints", "knn",
    "lost", "navi", "normals", "ood", "position", "retrieval", "scannet", "spair", "tokencut",
    "video_segmentation",
}  # fmt: skip
# What perfect features reach where that is known without computing.
PERFECT = {
    "knn": 1.0, "linear": 1.0, "linear_cached": 1.0, "linear_pca": 1.0, "logreg": 1.0,
    "ood": 1.0, "position": 1.0, "retrieval": 1.0, "robustness": 1.0,
}  # fmt: skip
# They measure a bias, of which the truth has most.
BIASES = {"position", "spatial_entropy"}
ONE_CLASS_EACH = {"classification", "fine_grained", "probe", "shifted"}
# Probes of many steps: what they reach on the truth stands in test_geometry_probes.
SLOW = {"probe3d_depth", "probe3d_normals"}
MORE = {
    "steps": 60, "epochs": 30, "validate_every": 10_000, "learning_rate": 0.5,
    "max_epochs": 100, "drop_epoch": 25, "penalties": (1e-6,), "thresholds": (0.6,),
    "dims": 256,
}  # fmt: skip

every_benchmark = pytest.mark.parametrize("name", NAMES)
seeds = st.integers(0, 2**20)


def few(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )


def test_no_kind_is_forgotten():
    assert set(INPUTS) == set(get_args(Kind))


@every_benchmark
@given(seed=seeds)
@few(1)
def test_the_order_of_scored_images_changes_nothing(name, seed):
    if name in LEARN_ON_TEST:
        return
    inputs = random_inputs(name, seed)
    # the choice of NeCo's head sees whole batches only: one batch holds all
    whole = {"batch_size": 5} if name == "linseg_neco100" else {}
    before = values(name, inputs, **whole)
    after = values(name, in_another_order(inputs, generator(seed + 1)), **whole)
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("name", sorted(ANGLES_ONLY))
@given(seed=seeds)
@few(1)
def test_a_rotation_of_all_features_changes_nothing(name, seed):
    inputs = random_inputs(name, seed)

    def rotated(features):
        dim = features.shape[-1]
        drawn = torch.randn(dim, dim, generator=generator(seed + 1)).double()
        return (features.double() @ torch.linalg.qr(drawn).Q).float()

    before, after = values(name, inputs), values(name, with_features(inputs, rotated))
    first_features = [metric for metric in before if "@d/" in metric]
    for metric in set(before) - set(first_features):
        # the classifier behind some detectors stops at a tolerance
        fitted = name == "ood" and "knn" not in metric and "mahalanobis" not in metric
        assert after[metric] == pytest.approx(before[metric], abs=0.15 if fitted else 1e-4), metric


@every_benchmark
@given(seed=seeds)
@few(1)
def test_constant_features_give_chance_and_no_nan(name, seed):
    inputs = random_inputs(name, seed)
    found = values(name, with_features(inputs, torch.ones_like))
    if BENCHMARKS[name].kind in ONE_CLASS_EACH:
        share = inputs.test.labels.bincount().max() / len(inputs.test.labels)
        assert max(v for m, v in found.items() if m.startswith("top1")) <= float(share) + 1e-6
    if name == "ood":
        assert {v for m, v in found.items() if m.startswith("auroc")} == {0.5}
    if "miou" in found:
        assert found["miou"] <= 1 / CLASSES + 1e-9
    if name == "position":
        assert found["r2"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in TRUTHS if name not in SLOW])
@given(seed=seeds)
@few(1)
def test_ground_truth_reaches_the_bound_and_beats_constants(name, seed):
    inputs = random_inputs(name, seed)
    changes = {key: value for key, value in MORE.items() if key in PARAMETERS[name]}
    perfect = values(name, TRUTHS[name](inputs), **changes)
    blind = values(name, with_features(inputs, torch.ones_like), **changes)
    spec = BENCHMARKS[name].metrics[0]
    main = next(metric for metric in perfect if metric.partition("@")[0] == spec.name)
    if name in PERFECT:
        assert perfect[main] == pytest.approx(PERFECT[name], abs=1e-6)
    sign = (1 if spec.direction == "higher" else -1) * (-1 if name in BIASES else 1)
    assert sign * (perfect[main] - blind[main]) > 0.1


@given(seed=seeds, block=st.integers(5, 70), neighbours=st.integers(1, 70))
@few(10)
def test_blocks_find_what_the_dense_matrix_finds(seed, block, neighbours):
    source = generator(seed)
    queries, bank = (torch.randn(n, DIM, generator=source) for n in (17, 60))
    similarity, index = cosine_search(queries, bank, neighbours=neighbours, block=block, device=CPU)
    dense = torch.nn.functional.cosine_similarity(queries[:, None], bank[None], dim=2)
    best = dense.topk(min(neighbours, len(bank)), dim=1)
    torch.testing.assert_close(similarity, best.values, atol=1e-5, rtol=1e-5)
    assert torch.equal(index.sort(dim=1).values, best.indices.sort(dim=1).values)


@pytest.mark.parametrize("name", ["knn", "in_context"])
@given(seed=seeds, block=st.integers(8, 40))
@few(2)
def test_blocks_change_no_score(name, seed, block):
    inputs = random_inputs(name, seed)
    assert values(name, inputs, block=block) == values(name, inputs, block=100_000)
