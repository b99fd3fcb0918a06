"""Trained probes of depth and normals: the optimiser, the schedule, and what they must learn."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.geometry import Geometry, GeometryInputs
from franca.eval.geometry_probes import DEPTH, NORMALS, AdamW, Recipe, rate_at, tokens_of
from franca.eval.truth.geometry import layer_depth, layer_normals
from tests.franca.eval.toy_geometry import layers

CPU = torch.device("cpu")
RECIPE = {
    "steps": 80,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "weight_decay": 0.01,
    "warmup": 0.15,
    "width": 8,
}


@pytest.fixture(scope="module")
def inputs():
    return GeometryInputs(train=layers(40, 0), test=layers(12, 1))


def depth_of(inputs, **changes):
    parameters = {"heads": ["dpt", "linear"], "recipe": RECIPE, "bins": 16, "farthest": 6.0}
    return DEPTH.run(inputs, seed=0, device=CPU, **(parameters | changes))


def value(outcome, key):
    total, count = outcome.evidence[key].sum(0)
    return total / count


def test_depth_is_learnt_from_perfect_features_and_not_from_noise(inputs):
    perfect, noise = depth_of(layer_depth(inputs)), depth_of(inputs)
    for head in ("dpt", "linear"):
        assert value(perfect, f"rmse@{head}") < 0.75 * value(noise, f"rmse@{head}")
        scaled = f"rmse@{head}-scale_invariant"
        assert value(perfect, scaled) <= value(perfect, f"rmse@{head}")
    assert set(perfect.evidence) == {
        f"{name}@{head}{variant}"
        for name in ("rmse", "delta1", "delta2", "delta3")
        for head in ("dpt", "linear")
        for variant in ("", "-scale_invariant")
    }


def test_normals_are_learnt_from_perfect_features_and_not_from_noise(inputs):
    def run(seen):
        return NORMALS.run(seen, seed=0, device=CPU, heads=["dpt", "linear"], recipe=RECIPE)

    perfect, noise = run(layer_normals(inputs)), run(inputs)
    for head in ("dpt", "linear"):
        assert value(perfect, f"rmse@{head}") < 0.75 * value(noise, f"rmse@{head}")


def test_scenes_are_what_is_resampled(inputs):
    evidence = depth_of(inputs, heads=["linear"]).evidence
    assert evidence["rmse@linear"].shape == (6, 2)  # twelve images of six scenes
    assert evidence["rmse@linear"][:, 1].tolist() == [2.0] * 6
    metrics = {m.metric: m for m in DEPTH.measure(evidence, dataset="x", resamples=50, seed=0)}
    assert metrics["rmse@linear"].n == 6
    low, high = metrics["rmse@linear"].ci95
    assert low < metrics["rmse@linear"].value < high


def test_what_is_unknown_changes_nothing(inputs):
    def holed(features, number):
        def cut(one):
            depth = one.depth.clone()
            depth[:2] = number
            return Geometry(depth=depth, normals=one.normals)

        return dataclasses.replace(features, geometry=[cut(one) for one in features.geometry])

    unknown, far = (
        depth_of(
            GeometryInputs(train=holed(inputs.train, number), test=holed(inputs.test, number)),
            heads=["linear"],
        )
        for number in (0.0, 50.0)
    )
    for key, rows in unknown.evidence.items():
        np.testing.assert_array_equal(rows, far.evidence[key])


def test_a_set_without_normals_is_refused(inputs):
    bare = [Geometry(depth=one.depth, normals=None) for one in inputs.train.geometry]
    without = dataclasses.replace(inputs, train=dataclasses.replace(inputs.train, geometry=bare))
    with pytest.raises(ValueError, match="needs an evaluation set with normals"):
        NORMALS.run(without, seed=0, device=CPU, heads=["linear"], recipe=RECIPE)


def test_every_patch_has_its_token_and_the_images_cls(inputs):
    features = inputs.train
    tokens = features.tokens.clone()
    tokens[:, :, 0] = torch.arange(12.0).reshape(4, 3)
    maps = tokens_of(dataclasses.replace(features, tokens=tokens), torch.tensor([5, 2]))
    assert maps.shape == (2, 4, 6, 4, 4)
    torch.testing.assert_close(maps[1, 2, :3, 1, 3], features.tokens[2, 2, 1 + 1 * 4 + 3])
    assert maps[0, 2, 3:, 3, 3].tolist() == [6.0, 7.0, 8.0]


def test_optimiser_is_torchs():
    source = torch.Generator().manual_seed(0)
    ours, theirs = (torch.ones(5, requires_grad=True) for _ in range(2))
    optimiser = AdamW([ours], weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.0, weight_decay=0.1)
    for step in range(20):
        gradient, rate = torch.randn(5, generator=source), 0.1 / (step + 1)
        optimiser.step([gradient], rate=rate)
        reference.param_groups[0]["lr"] = rate
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_rate_rises_along_a_line_and_falls_along_a_quarter_of_a_cosine():
    recipe = Recipe(**(RECIPE | {"steps": 100, "learning_rate": 1.0, "warmup": 0.2}))
    rates = [rate_at(step, recipe) for step in (0, 10, 20, 60, 100)]
    expected = [0.01, 0.505, 1.0, 0.01 + 0.99 * np.cos(np.pi / 4), 0.01]
    assert rates == pytest.approx(expected)
