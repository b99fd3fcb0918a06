"""New views from features: what true depth and colour reach, and what features must tell."""

import dataclasses

import numpy as np
import pytest
import torch

from franca.eval.feat2gs import BENCHMARK, fit_read_out, render_view
from franca.eval.geometry import SceneInputs
from franca.eval.image_metrics import psnr
from franca.eval.regression import moments, solve_ridge
from franca.eval.truth.geometry import depth_and_color
from tests.franca.eval.toy_geometry import scenes

CPU = torch.device("cpu")
PARAMETERS = {"dims": 256, "penalty": 1e-3, "radius": 0.5, "margin": 0.05}
MODES = ("geometry", "texture", "all")


@pytest.fixture(scope="module")
def inputs():
    return scenes(3)


def run(inputs, **changes):
    return BENCHMARK.run(inputs, seed=0, device=CPU, **(PARAMETERS | changes))


def test_true_depth_and_colour_show_the_scene_again(inputs):
    scene = inputs.scenes[0]
    sources = [scene[0], scene[2]]
    picture = render_view(
        scene[0],
        sources,
        depth=torch.stack([view.points[2].flatten() for view in sources]),
        colors=torch.stack([view.pixels.flatten(1).T for view in sources]),
        radius=0.5,
        margin=0.05,
    )
    assert picture.covered.float().mean() > 0.98
    assert psnr(picture.pixels[None], scene[0].pixels[None]) > 22


def test_perfect_features_beat_noise_and_rendering_bounds_them(inputs):
    noise, perfect = run(inputs), run(depth_and_color(inputs))
    assert set(noise.evidence) == {f"{name}@{mode}" for name in ("psnr", "ssim") for mode in MODES}
    assert noise.details == perfect.details  # rendering sees no feature
    ceiling = noise.details["true_depth_and_color"]
    for name in ("psnr", "ssim"):
        for mode in MODES:
            told, untold = (one.evidence[f"{name}@{mode}"].mean() for one in (perfect, noise))
            assert untold < told
            assert told == pytest.approx(ceiling[name], rel=0.01)


def test_scenes_are_the_units(inputs):
    metrics = BENCHMARK.measure(run(inputs).evidence, dataset="x", resamples=50, seed=0)
    assert {metric.n for metric in metrics} == {3}
    assert {metric.unit for metric in metrics} == {"dB", "1"}


def test_features_of_held_out_views_play_no_part(inputs):
    def blinded(scene):
        return [
            dataclasses.replace(view, tokens=torch.full_like(view.tokens, 1e3))
            if number in (1, 3, 5)
            else view
            for number, view in enumerate(scene)
        ]

    other = run(SceneInputs([blinded(scene) for scene in inputs.scenes]))
    for key, values in run(inputs).evidence.items():
        np.testing.assert_array_equal(values, other.evidence[key])


def test_all_components_are_plain_ridge_and_fewer_read_less():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(2, 50, 6, generator=source) * torch.tensor([3.0, 2, 1, 1, 1, 0.1])
    targets = features @ torch.randn(6, 2, generator=source)
    whole = fit_read_out(features, targets, dims=6, penalty=1e-6)
    plain = solve_ridge(moments(features, targets), penalty=1e-6)
    torch.testing.assert_close(whole(features[0]), plain(features[0]), atol=1e-5, rtol=1e-4)
    few = fit_read_out(features, targets, dims=2, penalty=1e-6)
    assert (few(features[0]) - targets[0]).norm() > 10 * (whole(features[0]) - targets[0]).norm()
