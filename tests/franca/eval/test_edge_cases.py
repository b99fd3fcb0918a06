"""Inputs at the edge, through every benchmark that can meet them: a number, or a named refusal."""

import dataclasses

import pytest
import torch

from franca.eval.benchmark import DenseFeatures
from franca.eval.registry import BENCHMARKS
from tests.franca.eval.toy_runs import random_inputs, values
from tests.franca.eval.toys import CLASSES

DENSE = [name for name, each in BENCHMARKS.items() if each.kind == "segmentation"]
SCORED_ON_MASKS = ("in_context", "linear_segmentation", "overclustering")
OF_IMAGES = [
    name
    for name, each in BENCHMARKS.items()
    if each.kind in ("classification", "fine_grained", "probe")
]
VOID = 255


def with_masks(inputs, split, change):
    features: DenseFeatures = getattr(inputs, split)
    return dataclasses.replace(
        inputs, **{split: dataclasses.replace(features, masks=change(features.masks))}
    )


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_whose_mask_is_all_void_leaves_numbers(name, split):
    def first_void(masks):
        masks = masks.clone()
        masks[0] = VOID
        return masks

    found = values(name, with_masks(random_inputs(name, 0), split, first_void))
    assert found


@pytest.mark.parametrize("name", ["in_context", "linear_segmentation"])
def test_a_scored_image_that_is_all_void_changes_no_score(name):
    """One more image, all void. Clusters are learnt on scored images, and may move."""
    inputs = random_inputs(name, 1)
    test = inputs.test
    more = dataclasses.replace(
        test,
        patches=torch.cat([test.patches, test.patches[:1]]),
        masks=torch.cat([test.masks, torch.full_like(test.masks[:1], VOID)]),
        depth=None,
        normals=None,
    )
    before, after = values(name, inputs), values(name, dataclasses.replace(inputs, test=more))
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("name", SCORED_ON_MASKS)
def test_a_class_that_no_mask_has_leaves_numbers(name):
    inputs = dataclasses.replace(random_inputs(name, 2), num_classes=CLASSES + 2)
    found = [v for m, v in values(name, inputs).items() if m.startswith("miou")]
    assert found
    assert all(0 <= value <= 1 for value in found)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_class_without_scored_images_leaves_numbers(name):
    inputs = random_inputs(name, 3)
    test = inputs.test
    kept = test.labels != 1
    few = dataclasses.replace(
        test,
        cls_blocks=test.cls_blocks[kept],
        mean_patch=test.mean_patch[kept],
        labels=test.labels[kept],
    )
    assert values(name, dataclasses.replace(inputs, test=few))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("knn", {"neighbours": [10, 1000], "headline": 1000}),
        ("in_context", {"neighbours": 100_000}),
        ("ood", {"neighbours": [1000], "guide_neighbours": 1000}),
        ("video_segmentation", {"neighbours": 1000}),
        ("lost", {"similar": 1000}),
        ("retrieval", {"precisions": [1, 1000]}),
    ],
)
def test_more_neighbours_than_there_are_means_all(name, changes):
    """All the values stand, and more than all are as many as all."""
    inputs = random_inputs(name, 4)
    first = values(name, inputs, **changes)
    larger = {
        key: [2 * v if v >= 1000 else v for v in value] if isinstance(value, list) else 2 * value
        for key, value in changes.items()
    }
    again = values(name, inputs, **larger)
    assert list(first.values()) == pytest.approx(list(again.values()), abs=1e-9)
