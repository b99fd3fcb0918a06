"""Boxes and CorLoc against the reference; limits and invariances of the benchmark."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.discovery import box_iou, component_box, is_located
from franca.eval.lost import BENCHMARK as LOST
from franca.eval.objects import DiscoveryImage, DiscoveryInputs
from franca.eval.tokencut import BENCHMARK as TOKENCUT
from franca.eval.truth.objects import object_keys

METHODS = [(TOKENCUT, {"threshold": 0.2}), (LOST, {"similar": 5})]
both = pytest.mark.parametrize(("benchmark", "parameters"), METHODS)


def run(benchmark, inputs, parameters):
    return benchmark.run(inputs, seed=0, device=torch.device("cpu"), **parameters)


def image(box, *, grid=(6, 7), keys=None):
    boxes = np.array(box, dtype=float).reshape(-1, 4)
    blank = torch.ones(grid[0] * grid[1], 3) if keys is None else keys
    return DiscoveryImage(
        keys=blank, grid=grid, size=(grid[0] * 4 - 1, grid[1] * 4 - 2), boxes=boxes
    )


def world(*images):
    return DiscoveryInputs(images=images, patch_size=4)


def test_iou_matches_the_reference(oracle):
    arrays = oracle("discovery")
    found = box_iou(arrays["in/iou/pred"], arrays["in/iou/gt"])
    np.testing.assert_allclose(found, arrays["out/iou/matrix"], atol=1e-6)


def test_corloc_matches_the_reference(oracle):
    arrays = oracle("discovery")
    owner, truth = arrays["in/corloc/image_of_gt"], arrays["in/corloc/gt"]
    hits = [is_located(box, truth[owner == i]) for i, box in enumerate(arrays["in/corloc/pred"])]
    np.testing.assert_array_equal(hits, arrays["out/corloc/hit"])
    assert 100 * np.mean(hits) == arrays["out/corloc/percent"]


@both
def test_keys_that_are_the_object_locate_it_where_patches_allow(benchmark, parameters):
    fitting, between = image([4, 8, 16, 20]), image([5, 5, 9, 7])
    outcome = run(benchmark, object_keys(world(fitting, between)), parameters)
    np.testing.assert_array_equal(outcome.predictions["box"][0], [4, 8, 16, 20])
    assert outcome.evidence["located"].tolist() == [True, False]  # 4x2 pixels in a patch of 4x4


@both
def test_images_without_objects_do_not_count(benchmark, parameters):
    outcome = run(benchmark, world(image([]), image([0, 0, 8, 8]), image([])), parameters)
    assert outcome.details == {"images_without_objects": 2}
    assert outcome.predictions["image"].tolist() == [1]
    (corloc,) = benchmark.measure(outcome.evidence, dataset="toy", resamples=2, seed=0)
    assert (corloc.metric, corloc.n) == ("corloc", 1)
    with pytest.raises(ValueError, match="none of 1 images has an object: correct test_split"):
        run(benchmark, world(image([])), parameters)


@both
def test_order_and_rotation_change_nothing(benchmark, parameters):
    source = torch.Generator().manual_seed(0)
    keys = [torch.randn(42, 5, generator=source) + torch.ones(5) for _ in range(4)]
    images = [image([4, 4, 16, 16], keys=each) for each in keys]
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=source)).Q
    turned = [dataclasses.replace(each, keys=each.keys @ rotation) for each in reversed(images)]
    before, after = (
        run(benchmark, world(*each), parameters).predictions["box"] for each in (images, turned)
    )
    np.testing.assert_array_equal(before, after[::-1])


def test_boxes_end_with_the_image():
    component = np.zeros((3, 4), bool)
    component[1:, 2:] = True
    box = component_box(component, patch_size=14, size=(40, 50))
    assert box.tolist() == [28, 14, 50, 40]
