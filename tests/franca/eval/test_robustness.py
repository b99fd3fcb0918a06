"""Heads of the linear probe on shifted images: which classes compete, and which answers count."""

import dataclasses

import numpy as np
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.linear import cached_stream, hits
from franca.eval.robustness import robustness
from franca.eval.truth.images import probe_classes

CPU = torch.device("cpu")
SETTINGS = {
    "blocks": [1],
    "learning_rates": [0.1],
    "steps": 30,
    "batch_size": 16,
    "momentum": 0.9,
    "held_out": 0.1,
    "crop_scale": None,
    "flip": 0.0,
}


def images(labels, cls):
    return ImageFeatures(cls_blocks=cls[:, None], mean_patch=cls, labels=labels)


def inputs_of(known=4, shown=(3, 1), accepted=None):
    """Known classes along their own axes; the shifted ones lean to class 0, which they lack."""
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % known
    train = images(labels, 3 * torch.eye(known)[labels] + torch.randn(80, known, generator=source))
    own = torch.arange(20) % len(shown)
    lean = torch.eye(known)[torch.tensor(shown)[own]] + 1.5 * torch.eye(known)[0]
    inputs = cached_stream(ClassificationInputs(train=train, test=train, num_classes=known))
    return dataclasses.replace(
        inputs, test=images(own, lean), columns=torch.tensor(shown), accepted=accepted
    )


def run(inputs):
    return robustness(inputs, seed=0, device=CPU, **SETTINGS).evidence


def test_classes_that_the_set_lacks_do_not_compete():
    evidence = run(inputs_of())
    assert evidence["correct"].all()
    assert not evidence["correct@unrestricted"].any()


def test_a_set_of_all_classes_has_one_number():
    assert set(run(inputs_of(shown=(3, 1, 0, 2)))) == {"correct"}


def test_restricted_predictions_match_the_official_code(oracle):
    """The mapping picks columns of the last head's logits, as `out/main/mapped_preds_last_head`."""
    arrays = oracle("linear")
    last = str(arrays["out/main/head_names"][-1])
    logits = torch.from_numpy(arrays[f"out/main/final_logits/{last}"])
    expected = torch.from_numpy(arrays["out/main/mapped_preds_last_head"])
    columns = torch.tensor([3, 0])
    torch.testing.assert_close(logits[:, columns], expected)
    labels = expected.argmax(1)
    inputs = dataclasses.replace(
        inputs_of(), test=images(labels, torch.zeros(60, 4)), columns=columns
    )
    assert hits(logits, inputs, restricted=True).all()
    wrong = dataclasses.replace(inputs, test=images(1 - labels, torch.zeros(60, 4)))
    assert not hits(logits, wrong, restricted=True).any()


def test_any_accepted_label_is_right():
    """ImageNet-ReaL's own example: sets {0, 2}, none and {0}; the image without is dropped."""
    logits = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1]])
    accepted = torch.tensor([[True, False, True], [True, False, False]])
    inputs = dataclasses.replace(inputs_of(), accepted=accepted)
    assert hits(logits, inputs, restricted=True).tolist() == [True, False]


def test_perfect_features_reach_one():
    assert all(found.all() for found in run(probe_classes(inputs_of())).values())
    accepted = torch.zeros(20, 4, dtype=torch.bool)
    accepted[:, 2:] = True
    assert run(probe_classes(inputs_of(accepted=accepted)))["correct"].all()
    assert np.mean(run(inputs_of(accepted=~accepted))["correct"]) == 1.0  # they lean to class 0
