"""TokenCut against the reference; Lanczos against the dense solver; graphs without an answer."""

import json

import numpy as np
import pytest
import scipy.linalg

from franca.eval.discovery import component_box
from franca.eval.tokencut import WEAK_EDGE, cut, patch_graph, second_eigenvector

IMAGES = ["centre", "border", "two_objects", "noisy", "tiny_grid"]
TAU = 0.2


def settings(arrays, name):
    return json.loads(str(arrays["meta"]))["settings"]["images"][name]


@pytest.mark.parametrize("name", IMAGES)
def test_matches_the_reference(oracle, name):
    arrays = oracle("discovery")
    image, out = settings(arrays, name), f"out/{name}/tokencut"
    found = cut(arrays[f"in/{name}/keys"][1:], grid=tuple(image["grid"]), threshold=TAU)
    expected = arrays[f"{out}_eigenvector"]
    cosine = (found.vector * expected).sum() / np.linalg.norm(found.vector)
    assert cosine / np.linalg.norm(expected) > 1 - 1e-6
    np.testing.assert_allclose(found.vector, expected, atol=1e-8)  # its scale too
    # Equal patches tie up to rounding; the reference takes any of them.
    largest = np.abs(expected).ravel()
    assert largest[found.seed] == pytest.approx(largest[arrays[f"{out}_seed"]], rel=1e-9)
    np.testing.assert_array_equal(found.vector > found.vector.mean(), arrays[f"{out}_foreground"])
    np.testing.assert_array_equal(found.component, arrays[f"{out}_component_mask"])
    box = component_box(found.component, patch_size=image["patch"], size=(image["h"], image["w"]))
    np.testing.assert_array_equal(box, arrays[f"{out}_box_xyxy"])


@pytest.mark.parametrize("name", IMAGES)
def test_eigenvalues_are_those_of_the_reference(oracle, name):
    arrays = oracle("discovery")
    edges = patch_graph(arrays[f"in/{name}/keys"][1:], threshold=TAU)
    affinity = np.where(edges, 1.0, WEAK_EDGE)
    degree = affinity.sum(1)
    vector = second_eigenvector(edges)
    assert vector @ (degree * vector) == pytest.approx(1.0)
    rayleigh = vector @ (degree * vector - affinity @ vector)
    assert rayleigh == pytest.approx(arrays[f"out/{name}/tokencut_eigenvalues_1_2"][0], abs=1e-8)


def random_edges(patches, seed):
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(patches, 3))
    return patch_graph(place + np.array([1.0, 0, 0]), threshold=TAU)


@pytest.mark.parametrize("seed", range(3))
def test_lanczos_is_the_dense_solution(seed):
    edges = random_edges(150, seed)
    affinity = np.where(edges, 1.0, WEAK_EDGE)
    degree = affinity.sum(1)
    _, vectors = scipy.linalg.eigh(np.diag(degree) - affinity, np.diag(degree))
    found = second_eigenvector(edges)
    expected = vectors[:, 1] * np.sign(vectors[:, 1] @ found)
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("patches", [4, 100])
def test_patches_that_are_all_alike_give_some_box_and_no_nan(patches):
    side = int(patches**0.5)
    for keys in (np.ones((patches, 3)), np.zeros((patches, 3))):
        found = cut(keys, grid=(side, side), threshold=TAU)
        assert np.isfinite(found.vector).all()
        assert found.component.any()


def test_equally_good_cuts_go_to_the_dense_solver():
    # Three equal cliques: the second and third eigenvalue are the same.
    keys = np.repeat(np.eye(3), 40, axis=0)
    found = cut(keys, grid=(6, 20), threshold=TAU)
    assert np.isfinite(found.vector).all()
    assert found.component.sum() % 40 == 0  # whole cliques


def test_rotation_of_keys_changes_nothing():
    rng = np.random.default_rng(0)
    keys = rng.normal(size=(12 * 10, 8)) + 3 * (rng.random((120, 1)) > 0.7)
    turned = keys @ np.linalg.qr(rng.normal(size=(8, 8))).Q
    before, after = (cut(each, grid=(12, 10), threshold=TAU) for each in (keys, turned))
    np.testing.assert_array_equal(before.component, after.component)
