"""Sample images of a split with everything that the report draws of them."""

import dataclasses

import numpy as np
import torch

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.miou import confusion_matrix, match
from franca.eval.samples import sample_arrays
from franca.eval.suite import Pair, Suite
from franca.models.vit import build_vit
from franca.randomness import generator
from tests.franca.config.sections import EVALUATE, SEGMENTATION
from tests.franca.eval.worlds import write_voc

TASKS = [Pair("in_context", "rooms"), Pair("overclustering", "rooms")]


def suite_of(store, root):
    write_voc(root, {"train": 6, "val": 5})
    rooms = EvaluationSet(**(SEGMENTATION | {"num_classes": 3, "root": str(root)}))
    names = [task.benchmark for task in TASKS]
    return Suite(
        sets=EvaluationSets(all={"rooms": rooms}, scenes=root, store=store),
        parameters={name: EVALUATE[name] for name in names},
        seed=0,
        resamples=20,
    )


def vit(store):
    model = build_vit("vit_tiny", patch_size=4, image_size=16, generator=generator(0, "test"))
    return dataclasses.replace(store, model=model.eval())


def test_everything_is_of_the_same_images(store, tmp_path):
    suite, folder = suite_of(vit(store), tmp_path / "rooms"), tmp_path / "results"
    suite.run(TASKS, folder, title="both")
    arrays = sample_arrays(suite, "rooms", folder=folder, count=3)
    heads = suite.sets.store.model.arch.heads
    assert {name: array.shape for name, array in arrays.items()} == {
        "images": (3, 16, 16, 3),
        "masks": (3, 16, 16),
        "patches": (3, 16, suite.sets.store.model.embed_dim),
        "grid": (2,),
        "attention": (3, heads, 16),
        "norms": (3, 16),
        "segmented": (3, 16, 16),
        "clustered": (3, 4, 4),
    }
    masks = suite.prepared(TASKS[0]).inputs.test.masks
    np.testing.assert_array_equal(arrays["masks"], masks[[0, 2, 4]])
    again = sample_arrays(suite, "rooms", folder=folder, count=3)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_only_what_is_run_is_painted_and_only_what_the_model_shows(store, tmp_path):
    suite = suite_of(store, tmp_path / "rooms")  # a model without attention
    arrays = sample_arrays(suite, "rooms", folder=tmp_path, count=9)
    assert set(arrays) == {"images", "masks", "patches", "grid"}
    assert len(arrays["images"]) == 5


def test_clusters_that_are_classes_are_painted_as_the_masks(store, tmp_path):
    suite = suite_of(store, tmp_path / "rooms")
    inputs = suite.prepared(TASKS[1]).inputs
    blocks = torch.randint(3, (5, 4, 4), generator=generator(0, "classes"))
    perfect = dataclasses.replace(
        inputs.test,
        patches=torch.eye(3)[blocks.flatten(1)],
        masks=blocks.to(torch.uint8).repeat_interleave(4, 1).repeat_interleave(4, 2),
    )
    prepared = suite.prepared(TASKS[1])
    prepared.__dict__["inputs"] = dataclasses.replace(inputs, test=perfect)
    suite.run(TASKS[1:], tmp_path / "results", title="clusters")
    painted = sample_arrays(suite, "rooms", folder=tmp_path / "results", count=5)["clustered"]
    np.testing.assert_array_equal(painted, blocks.numpy())
    counts = confusion_matrix(
        blocks.numpy(), painted, num_classes=3, num_predicted=3, ignore_index=255
    )
    assert match(counts, "hungarian").tolist() == [0, 1, 2]
