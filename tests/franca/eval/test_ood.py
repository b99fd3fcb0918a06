"""Detectors against OpenOOD, on one novel set and on several."""

import numpy as np
import pytest
import torch

from franca.eval import ood as module
from franca.eval.benchmark import (
    ClassificationInputs,
    ImageFeatures,
    NovelImages,
    NoveltyInputs,
)
from franca.eval.detection import STATISTICS
from franca.eval.ood import BENCHMARK, KnownClasses, ood
from franca.eval.resampling import point_estimate
from tests.franca.eval.test_detection import check_metrics


@pytest.fixture
def known(oracle):
    arrays = oracle("ood")
    parts = {name: torch.from_numpy(arrays[f"in/detector/main/{name}"]) for name in "Wb"}
    return KnownClasses(
        features=torch.from_numpy(arrays["in/detector/main/train"]).double(),
        labels=torch.from_numpy(arrays["in/detector/main/train_label"]),
        weights=parts["W"].double(),
        bias=parts["b"].double(),
    )


@pytest.mark.parametrize(
    ("name", "detector", "settings"),
    [
        ("msp", "max_softmax", {}),
        ("maxlogit", "max_logit", {}),
        ("energy", "energy", {}),
        ("mds", "mahalanobis", {}),
        ("rmds", "relative_mahalanobis", {}),
        ("nnguide", "nearest_guide", {"neighbours": 20}),
        ("knn10", "kth_neighbour", {"neighbours": 10}),
        ("knn50", "kth_neighbour", {"neighbours": 50}),
        ("vim16", "virtual_logit", {"principal_dims": 16}),
        ("vim24", "virtual_logit", {"principal_dims": 24}),
    ],
)
def test_detectors_match_openood(oracle, known, name, detector, settings):
    arrays = oracle("ood")
    inside, outside = (torch.from_numpy(arrays[f"in/detector/main/{k}"]) for k in ("id", "ood"))
    queries = torch.cat([inside, outside]).double()
    found = getattr(module, detector)(known, queries, **settings).numpy()
    expected = arrays[f"out/detector/main/{name}/score"]
    np.testing.assert_allclose(
        found, expected, rtol=1e-3 if name[:3] in "vim mds rmds" else 1e-4, atol=1e-4
    )
    novel = np.arange(len(queries)) >= len(inside)
    check_metrics(arrays, f"out/detector/main/{name}", novel, expected)
    hits = known.logits(inside.double()).argmax(1).numpy() == arrays["in/detector/main/id_label"]
    accuracy = float(arrays[f"out/detector/main/{name}/id_accuracy"])
    assert hits.sum() == round(accuracy * len(hits))


@pytest.mark.parametrize("dims", [16, 24])
def test_scale_of_the_virtual_logit_matches(oracle, known, dims):
    """The scale is the slope of the confidence in the residual, read off two training images."""
    arrays = oracle("ood")
    x = known.features[:50]
    origin = -torch.linalg.pinv(known.weights) @ known.bias
    centred = known.features - origin
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, dims:]
    residual = ((x - origin) @ axes).norm(dim=1)
    confidence = module.virtual_logit(known, x, principal_dims=dims)
    scale = (module.energy(known, x) - confidence) / residual
    expected = float(arrays[f"out/detector/main/vim{dims}/alpha"])
    np.testing.assert_allclose(scale, np.full(50, expected), rtol=1e-3)


def features(cls, labels):
    return ImageFeatures(cls_blocks=cls[:, None], mean_patch=cls, labels=labels)


def run(classes, shifts, *, absent=-1, validation=None):
    """Novel sets by name, each as far from the known classes as its shift says."""
    source = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(classes, 6, generator=source)
    parts = []
    for count in (90, 30):
        labels = torch.arange(count) % classes
        labels = labels[labels != absent]
        count = len(labels)
        parts.append(features(centres[labels] + torch.randn(count, 6, generator=source), labels))
    known = ClassificationInputs(train=parts[0], test=parts[1], num_classes=classes)
    novel = tuple(
        NovelImages(name, group, shift * torch.randn(20 + number, 6, generator=source))
        for number, (name, group, shift) in enumerate(shifts)
    )
    return ood(
        NoveltyInputs(known=known, novel=novel, validation=validation),
        seed=0,
        device=torch.device("cpu"),
        neighbours=[5, 5000],
        guide_neighbours=5,
        principal_dims=[3, 512],
        validation_share=0.2,
        inverse_penalty=1.0,
        max_iterations=200,
        tolerance=1e-4,
    ).evidence


@pytest.mark.parametrize("classes", [2, 3])
def test_far_images_are_found_by_distance(classes):
    evidence = run(classes, [("noise", "far", 30.0)])
    assert "detection@vim3-far" in evidence
    assert "detection@vim512-far" not in evidence  # leaves no residual in six dimensions
    score = point_estimate(STATISTICS["auroc"], evidence["detection@mahalanobis-far"])
    assert score > 0.95
    assert evidence.pop("correct").shape == (30,)
    for name, values in evidence.items():
        assert np.isfinite(values).all(), name
        assert values[:, 0].sum() == 20


def test_groups_are_means_of_their_sets_which_are_reported_too():
    evidence = run(3, [("a", "far", 30.0), ("b", "near", 5.0), ("c", "far", 3.0)])
    names = {name.partition("-")[2] for name in evidence} - {""}
    assert names == {"near", "far", "a", "c"}  # b is all of near
    metrics = BENCHMARK.measure(evidence, dataset="d", resamples=20, seed=0)
    values = {metric.metric: metric for metric in metrics}
    for name in ("auroc", "fpr95", "aupr_novel"):
        far, a, c = (values[f"{name}@msp-{group}"].value for group in ("far", "a", "c"))
        assert far == pytest.approx((a + c) / 2)
    assert values["auroc@msp-far"].n == 30 + 20 + 22
    assert metrics[0].metric == "auroc@knn5-near"


def test_a_class_without_training_images_shifts_no_other():
    evidence = run(4, [("noise", "far", 30.0)], absent=1)
    assert evidence["correct"].mean() > 0.9
    assert np.isfinite(evidence["detection@mahalanobis-far"]).all()


def test_settings_are_chosen_on_images_that_are_not_scored():
    source = torch.Generator().manual_seed(1)
    novel = [("noise", "far", 3.0)]
    plain = run(3, novel)
    chosen = run(3, novel, validation=3.0 * torch.randn(40, 6, generator=source))
    assert not any(name.startswith(("detection@knn-", "detection@vim-")) for name in plain)
    assert (len(plain["correct"]), len(chosen["correct"])) == (30, 24)
    # every image of the bank is the 5,000th neighbour of none: the fifth tells more
    np.testing.assert_array_equal(chosen["detection@knn-far"], chosen["detection@knn5-far"])
    np.testing.assert_array_equal(chosen["detection@vim-far"], chosen["detection@vim3-far"])
    scored = chosen["detection@msp-far"][:, 1]
    assert set(scored[:24]) < set(plain["detection@msp-far"][:30, 1])


def test_the_choice_is_the_best_on_validation_images(known):

    def told(sign):
        return lambda _, x: sign * x[:, 0]

    inside, outside = torch.zeros(20, 2).double(), torch.ones(10, 2).double()
    detectors = {
        "knn1": told(1),
        "knn2": told(-1),
        "vim4": told(-1),
        "vim8": told(-1),
        "msp": told(-1),
    }
    assert module.choose_settings(detectors, known, inside, outside) == {
        "knn": "knn2",
        "vim": "vim4",  # the first of equals
    }
