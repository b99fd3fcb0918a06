"""Perfect features: what each benchmark must reach on them, and what its own resolution costs."""

import numpy as np
import pytest
import torch

from franca.eval import in_context, linear_segmentation
from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.miou import miou_statistic
from franca.eval.resampling import point_estimate
from franca.eval.truth.dense import patch_classes, patch_depth, patch_normals, patch_places

CPU = torch.device("cpu")


def blocky(seed, *, images, shift=0):
    """Masks of one class a patch (4x4 patches of 4 pixels), moved by `shift` pixels."""
    source = np.random.default_rng(seed)
    classes = source.integers(0, 3, (images, 4, 4)).astype(np.uint8)
    masks = np.roll(classes.repeat(4, 1).repeat(4, 2), shift, axis=(1, 2))
    return DenseFeatures(
        patches=torch.zeros(images, 16, 5),
        grid=(4, 4),
        masks=torch.from_numpy(masks),
        depth=torch.full((images, 16), torch.e),
        normals=torch.tensor([0.0, 0.0, 1.0]).expand(images, 16, 3).clone(),
    )


def world(shift=0):
    train, test = (blocky(seed, images=20, shift=shift) for seed in (1, 2))
    return SegmentationInputs(train=train, test=test, num_classes=3, ignore_index=255)


def miou(benchmark, inputs, **parameters):
    outcome = benchmark.run(inputs, seed=0, device=CPU, **parameters)
    return point_estimate(miou_statistic("identity", "all"), outcome.evidence["confusion"])


SEARCH = {"neighbours": 5, "temperature": 0.02, "memory_size": None, "block": 64}
FIT = {"steps": 200, "batch_size": 10, "learning_rate": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(
    ("benchmark", "parameters"),
    [(in_context.BENCHMARK, SEARCH), (linear_segmentation.BENCHMARK, FIT)],
)
def test_only_the_painting_of_pixels_from_patches_is_lost(benchmark, parameters):
    aligned = miou(benchmark, patch_classes(world()), **parameters)
    moved = miou(benchmark, patch_classes(world(shift=2)), **parameters)
    constant = miou(benchmark, world(), **parameters)
    assert aligned > 0.75  # bilinear painting rounds corners
    assert constant < 0.25 < moved < aligned


def test_geometry_and_places_are_what_they_say():
    inputs = world()
    inputs.test.depth[0, 0] = torch.nan
    inputs.test.normals[0, 1] = torch.nan
    depth, normals, places = (
        make(inputs).test.patches for make in (patch_depth, patch_normals, patch_places)
    )
    assert depth[0, :2].flatten().tolist() == pytest.approx([0.0, 1.0])  # unknown; log e
    assert normals[0, 0].tolist() == [0.0, 0.0, 1.0]
    assert normals[0, 1].tolist() == [0.0, 0.0, 0.0]
    assert places[3, 6].tolist() == pytest.approx([1 / 3, 2 / 3])
