"""What is kept of single images is what was scored, and the registry says what it is."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import CLASSES, MASKS
from franca.eval.crops import Picture, resize
from franca.eval.miou import confusion_matrix
from franca.eval.registry import BENCHMARKS
from tests.franca.eval.toy_runs import NAMES, PARAMETERS, random_inputs

# Masks are compared at the size of the toys' own.
OWN_SIZE = {"linseg_neco100": {"mask_side": 16}}
PAINTED = [
    name
    for name in NAMES
    if BENCHMARKS[name].predictions.get("predicted", "").startswith(MASKS["predicted"])
]


def outcome_of(name):
    inputs = random_inputs(name, 0)
    settings = PARAMETERS[name] | OWN_SIZE.get(name, {})
    return inputs, BENCHMARKS[name].run(inputs, seed=0, device=torch.device("cpu"), **settings)


@pytest.mark.parametrize("name", NAMES)
def test_every_prediction_is_registered_and_every_registered_one_is_made(name):
    _, outcome = outcome_of(name)
    made = {key.partition("@")[0].partition("/")[0] for key in outcome.predictions}
    assert made == set(BENCHMARKS[name].predictions)
    # where clusters live is said by the evidence itself
    assert made or name == "spatial_entropy"


@pytest.mark.parametrize("name", [n for n in NAMES if BENCHMARKS[n].predictions == CLASSES])
def test_classes_are_those_that_were_scored(name):
    inputs, outcome = outcome_of(name)
    for key, classes in outcome.predictions.items():
        right = classes == inputs.test.labels.numpy()
        assert np.array_equal(right, outcome.evidence[key.replace("predicted", "correct")]), key


@pytest.mark.parametrize("name", PAINTED)
def test_masks_are_those_that_were_scored(name):
    inputs, outcome = outcome_of(name)
    images = inputs.test if BENCHMARKS[name].kind == "pictures" else inputs.test.masks.numpy()
    assert len(outcome.predictions) == len(images)
    for number, image in enumerate(images):
        painted = outcome.predictions[f"predicted/{number:06d}"]
        assert painted.dtype == np.uint8
        height, width = painted.shape
        counts = confusion_matrix(
            resize(image, height=height, width=width).mask if isinstance(image, Picture) else image,
            painted,
            num_classes=inputs.num_classes,
            num_predicted=inputs.num_classes,
            ignore_index=inputs.ignore_index,
        )
        scored = outcome.evidence["confusion"][number]
        assert np.array_equal(counts, scored[0] if name == "hummingbird" else scored)


def test_boxes_name_their_images():
    inputs, outcome = outcome_of("lost")
    assert outcome.predictions["image"].tolist() == list(range(len(inputs.images)))
    assert outcome.predictions["box"].shape == (len(inputs.images), 4)


@pytest.mark.parametrize(("name", "key"), [("keypoints", "place"), ("correspondence", "match")])
def test_matches_name_their_pairs(name, key):
    inputs, outcome = outcome_of(name)
    pairs = outcome.predictions["pair"]
    assert len(pairs) == len(outcome.predictions[key])
    assert np.array_equal(np.unique(pairs), np.arange(len(inputs.pairs)))
