"""Detectors and metrics against OpenOOD."""

import numpy as np
import pytest
import torch

from franca.eval import ood as module
from franca.eval.benchmark import ClassificationInputs, ImageFeatures, NoveltyInputs
from franca.eval.ood import STATISTICS, KnownClasses, ood
from franca.eval.resampling import point_estimate

METRICS = {
    "fpr95": "fpr95_ood_positive",
    "fpr95_known": "fpr95_id_positive",
    "auroc": "auroc",
    "aupr_known": "aupr_in",
    "aupr_novel": "aupr_out",
}


def check_metrics(arrays, prefix, novel, confidence):
    evidence = np.stack([novel.astype(float), confidence], axis=1)
    for ours, theirs in METRICS.items():
        expected = float(arrays[f"{prefix}/{theirs}"])
        found = point_estimate(STATISTICS[ours], evidence)
        assert found == pytest.approx(expected, abs=1e-6), ours


@pytest.mark.parametrize("case", ["normal", "ties", "perfect", "constant"])
def test_metrics_match_openood(oracle, case):
    arrays = oracle("ood")
    novel = arrays[f"in/metric/{case}/label"] == -1
    confidence = arrays[f"in/metric/{case}/confidence"]
    check_metrics(arrays, f"out/metric/{case}", novel, confidence)
    hits = arrays[f"in/metric/{case}/prediction"] == arrays[f"in/metric/{case}/label"]
    assert hits[~novel].mean() == pytest.approx(float(arrays[f"out/metric/{case}/id_accuracy"]))


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


def run(classes, shift):
    source = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(classes, 6, generator=source)
    parts = []
    for count in (90, 30):
        labels = torch.arange(count) % classes
        parts.append(features(centres[labels] + torch.randn(count, 6, generator=source), labels))
    known = ClassificationInputs(train=parts[0], test=parts[1], num_classes=classes)
    novel = shift * torch.randn(20, 6, generator=source)
    return ood(
        NoveltyInputs(known=known, novel=novel),
        seed=0,
        device=torch.device("cpu"),
        neighbours=[5, 5000],
        guide_neighbours=5,
        principal_dims=[3, 512],
        inverse_penalty=1.0,
        max_iterations=200,
        tolerance=1e-4,
    ).evidence


@pytest.mark.parametrize("classes", [2, 3])
def test_far_images_are_found_by_distance(classes):
    evidence = run(classes, shift=30.0)
    assert "detection@vim3" in evidence
    assert "detection@vim512" not in evidence  # leaves no residual in six dimensions
    score = point_estimate(STATISTICS["auroc"], evidence["detection@mahalanobis"])
    assert score > 0.95
    for name, values in evidence.items():
        assert np.isfinite(values).all(), name
        assert values[:, 0].sum() == 20
