"""LOST against the reference."""

import json

import numpy as np
import pytest

from franca.eval.discovery import component_box
from franca.eval.lost import grow


@pytest.mark.parametrize("name", ["centre", "border", "two_objects", "noisy", "tiny_grid"])
def test_matches_the_reference(oracle, name):
    arrays = oracle("discovery")
    image = json.loads(str(arrays["meta"]))["settings"]["images"][name]
    for similar in image["k_patches"]:
        out = f"out/{name}/lost_k{similar}"
        found = grow(arrays[f"in/{name}/keys"][1:], grid=tuple(image["grid"]), similar=similar)
        np.testing.assert_array_equal(found.degree, -arrays[f"{out}/minus_degree"])
        ties = np.count_nonzero(found.degree == found.degree[found.seed])
        assert ties == arrays[f"{out}/patches_sharing_lowest_degree"]
        assert found.seed == arrays[f"{out}/seed"]
        assert not arrays[f"{out}/error"]
        box = component_box(
            found.component, patch_size=image["patch"], size=(image["h"], image["w"])
        )
        np.testing.assert_array_equal(box, arrays[f"{out}/box_ties_lowest_index_first"])
        if not arrays[f"{out}/box_depends_on_tie_order"]:
            np.testing.assert_array_equal(box, arrays[f"{out}/box_xyxy"])
            np.testing.assert_array_equal(box, arrays[f"{out}/box_ties_highest_index_first"])


def test_keys_that_say_nothing_leave_the_seed_alone():
    found = grow(np.zeros((6, 3)), grid=(2, 3), similar=100)
    assert found.component.sum() == 1
    assert grow(np.ones((6, 3)), grid=(2, 3), similar=100).component.all()
