"""Logistic regression: the objective, the choice of the penalty, and two classes."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.logreg import fit_logreg, logreg, predict


@pytest.mark.parametrize("inverse_penalty", [0.001, 0.1, 10.0])
def test_matches_the_oracle(oracle, inverse_penalty):
    arrays = oracle("logreg")
    train, labels = arrays["in/main/train"], arrays["in/main/train_label"]
    weights, intercepts, converged = fit_logreg(
        train, labels, inverse_penalty=inverse_penalty, max_iterations=1000, tolerance=1e-8
    )
    assert converged
    out = f"out/main/C{inverse_penalty}"
    np.testing.assert_allclose(weights, arrays[f"{out}/coef"], atol=1e-3)
    np.testing.assert_allclose(intercepts, arrays[f"{out}/intercept"], atol=1e-3)

    test, test_labels = arrays["in/main/test"], arrays["in/main/test_label"]
    logits = torch.from_numpy(test.astype(np.float64) @ weights.T + intercepts)
    np.testing.assert_allclose(logits.softmax(1), arrays[f"{out}/probability"], atol=2e-4)
    guesses = predict(test, weights, intercepts, np.arange(4))
    assert np.mean(guesses == test_labels) == pytest.approx(float(arrays[f"{out}/accuracy"]))

    train_logits = torch.from_numpy(train.astype(np.float64) @ weights.T + intercepts)
    losses = torch.nn.functional.cross_entropy(
        train_logits, torch.from_numpy(labels), reduction="sum"
    )
    objective = inverse_penalty * float(losses) + 0.5 * float(np.sum(weights**2))
    assert objective == pytest.approx(float(arrays[f"{out}/objective"]), rel=1e-6)


def toy_inputs(classes, scale=1.0):
    source = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(classes, 5, generator=source)
    parts = []
    for count in (80, 40):
        labels = torch.arange(count) % classes
        cls = scale * (centres[labels] + torch.randn(count, 5, generator=source))
        parts.append(ImageFeatures(cls_blocks=cls[:, None], mean_patch=cls, labels=labels))
    return ClassificationInputs(train=parts[0], test=parts[1], num_classes=classes)


def run(inputs, penalties, *, max_iterations=500, standardised=False):
    return logreg(
        inputs,
        seed=0,
        device=torch.device("cpu"),
        inverse_penalties=penalties,
        max_iterations=max_iterations,
        tolerance=1e-4,
        standardised=standardised,
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_learns_separable_classes(classes):
    outcome = run(toy_inputs(classes), [1.0])
    assert outcome.evidence["correct"].mean() > 0.85
    truth, correct = outcome.evidence["class_and_correct"].T
    np.testing.assert_array_equal(truth, np.arange(40) % classes)
    np.testing.assert_array_equal(correct, outcome.evidence["correct"])


def test_penalty_that_classifies_better_is_chosen():
    outcome = run(toy_inputs(4), [1e-6, 1.0])
    assert outcome.details["logreg"] == {"inverse_penalty": 1.0, "not_converged": []}


def test_first_penalty_wins_a_tie():
    outcome = run(toy_inputs(2, scale=10.0), [3.0, 2.0])
    assert outcome.details["logreg"]["inverse_penalty"] == 3.0


def test_a_fit_that_did_not_converge_is_recorded(caplog):
    outcome = run(toy_inputs(4), [1e4], max_iterations=2)
    assert outcome.details["logreg"]["not_converged"] == [1e4]
    assert "max_iterations" in caplog.text


def test_constant_features_give_one_class():
    inputs = toy_inputs(4, scale=0.0)
    assert run(inputs, [1.0]).evidence["correct"].mean() == 0.25


def test_standardised_variant_reads_what_the_penalty_hides():
    """Features of an untrained backbone: equal up to a hundred-thousandth."""
    faint = run(toy_inputs(4, scale=1e-5), [1.0], standardised=True)
    assert faint.evidence["correct"].mean() == 0.25
    assert faint.evidence["correct@standardised"].mean() > 0.85
    constant = run(toy_inputs(4, scale=0.0), [1.0], standardised=True)
    assert constant.evidence["correct@standardised"].mean() == 0.25


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="all of one class"):
        run(toy_inputs(1), [1.0])


def test_a_validation_split_chooses_and_is_learnt_from():
    inputs = toy_inputs(4)
    misled = dataclasses.replace(
        inputs.test, cls_blocks=-inputs.test.cls_blocks, mean_patch=-inputs.test.mean_patch
    )
    helped = dataclasses.replace(inputs, validation=inputs.test)
    hindered = dataclasses.replace(inputs, validation=misled)
    good, bad = (run(each, [1e-6, 1.0]) for each in (helped, hindered))
    assert good.details["logreg"]["inverse_penalty"] == 1.0
    assert bad.details["logreg"]["inverse_penalty"] == 1e-6  # what generalises least
    assert good.evidence["correct"].mean() > bad.evidence["correct"].mean()
