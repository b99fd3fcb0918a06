import numpy as np
import pytest
import torch
from PIL import Image

from franca.models.vit import build_vit
from franca.rasa.features import ViewBatches
from franca.rasa.targets import build_target
from franca.rasa.views import ViewSettings
from tests.franca.rasa.test_views import STILL


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(6)]


@pytest.fixture(scope="module")
def model():
    return build_vit("vit_tiny", generator=torch.Generator().manual_seed(0)).eval()


def batches(pictures, model, **changes):
    settings = {
        "model": model,
        "target": build_target("linear", fourier_order=None),
        "views": ViewSettings(**{**STILL, "min_scale": 0.3, "flip_probability": 0.5}),
        "side": 32,
        "batch_size": 2,
        "shuffle": True,
        "seed": 0,
        "purpose": "fit",
        "cache_bytes": 10**9,
    }
    return ViewBatches(pictures, range(len(pictures)), **{**settings, **changes})


def test_tokens_are_the_backbones_patches(pictures, model):
    still = ViewSettings(**{**STILL, "normalise_std": (1.0, 1.0, 1.0)})
    given = batches(pictures, model, views=still, shuffle=False)
    tokens, targets = given.batch(0, 1)
    pixels = np.stack([np.asarray(p.resize((32, 32), Image.Resampling.BILINEAR)) for p in pictures])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    images = images - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    with torch.no_grad():
        expected = model.forward_features(images[2:4]).patches.flatten(0, 1)
    torch.testing.assert_close(tokens, expected)
    assert (given.dim, given.num_targets, given.num_batches) == (96, 2, 3)
    assert targets.shape == (2 * 16, 2)


def test_keeping_features_changes_nothing(pictures, model):
    kept, recomputed = (batches(pictures, model, cache_bytes=size) for size in (10**9, 0))
    for epoch in range(2):
        assert torch.equal(kept.batch(epoch, 1)[0], recomputed.batch(epoch, 1)[0])
    assert kept.batch(0, 1)[0] is kept.batch(0, 1)[0]
    assert recomputed.batch(0, 1)[0] is not recomputed.batch(0, 1)[0]


def test_purposes_and_epochs_see_other_views(pictures, model):
    fit, probe = (  # of the same images, in the same order
        batches(pictures, model, purpose=purpose, shuffle=False) for purpose in ("fit", "probe")
    )
    assert not torch.equal(fit.batch(0, 0)[0], probe.batch(0, 0)[0])
    assert not torch.equal(fit.batch(0, 0)[0], fit.batch(1, 0)[0])


def test_views_that_patches_do_not_divide_are_refused(pictures, model):
    with pytest.raises(ValueError, match="choose a multiple of 8"):
        batches(pictures, model, side=36)


def test_targets_of_another_grid_are_refused(pictures, model):
    with pytest.raises(ValueError, match="16 tokens an image and the targets' grid 9"):
        batches(pictures, model, target=lambda *_: torch.zeros(9, 1))


def test_a_broken_backbone_is_named(pictures):
    broken = build_vit("vit_tiny").eval()
    torch.nn.init.constant_(broken.norm.bias, float("nan"))
    with pytest.raises(ValueError, match="check the backbone's checkpoint"):
        batches(pictures, broken)
