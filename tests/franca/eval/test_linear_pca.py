"""Linear heads on principal components: which directions they get, and that they get no others."""

import pytest
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.linear_pca import BENCHMARK, linear_pca

SETTINGS = {
    "blocks": [1], "learning_rates": [0.1, 1.0], "steps": 200, "batch_size": 32, "momentum": 0.9,
    "held_out": 0.25,
}  # fmt: skip


def features(count, seed):
    """Two classes along the third widest axis; other tokens would tell at once."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    cls = torch.randn(count, 6, generator=source) * torch.tensor([20.0, 10.0, 0.2, 0.1, 0.1, 0.1])
    cls[:, 2] += 6.0 * labels - 3.0
    telling = labels[:, None].expand(-1, 6).float()
    blocks = torch.stack([telling, cls + 100.0], dim=1)
    return ImageFeatures(cls_blocks=blocks, mean_patch=telling, labels=labels)


@pytest.fixture(scope="module")
def found():
    inputs = ClassificationInputs(features(200, 0), features(100, 1), num_classes=2)
    device = torch.device("cpu")
    return linear_pca(inputs, seed=0, device=device, pca_dims=(6, 3, 2, 7), **SETTINGS)


def test_a_class_in_the_third_direction_takes_three_components(found):
    metrics = BENCHMARK.measure(found.evidence, dataset="toy", resamples=20, seed=0)
    top1 = {metric.metric: metric.value for metric in metrics}
    assert set(top1) == {"top1@pca6", "top1@pca3", "top1@pca2"}  # 7 are more than there are
    assert top1["top1@pca2"] < 0.7
    assert top1["top1@pca3"] > 0.95
    assert top1["top1@pca6"] > 0.95


def test_the_chosen_heads_are_recorded(found):
    assert found.details.keys() == {"pca6", "pca3", "pca2"}
    assert all("rate" in chosen for chosen in found.details.values())
