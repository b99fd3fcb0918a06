"""Position embeddings: both laws against the released model, and what they must keep."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.models.pos_embed import resize_pos_embed

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "vit.npz", allow_pickle=False)
LEARNT = torch.from_numpy(ORACLE["in/base/sd/backbone.pos_embed"])
GRIDS = {"native": (4, 4), "up": (6, 6), "rect": (3, 6), "sametok": (2, 8)}


@pytest.mark.parametrize(
    ("case", "interpolation", "image"),
    [("base", "franca", image) for image in GRIDS]
    + [("base_antialias", "antialias", image) for image in GRIDS if image != "native"],
)
def test_equals_the_released_model(case, interpolation, image):
    resized = resize_pos_embed(LEARNT, grid=GRIDS[image], interpolation=interpolation)
    expected = torch.from_numpy(ORACLE[f"out/{case}/{image}/pos_embed"])
    assert_close(resized, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(("image", "grid"), [("native", (4, 4)), ("rect", (5, 3))])
def test_equals_the_released_model_with_registers(image, grid):
    learnt = torch.from_numpy(ORACLE["in/reg/sd/backbone.pos_embed"])
    resized = resize_pos_embed(learnt, grid=grid, interpolation="franca")
    expected = torch.from_numpy(ORACLE[f"out/reg/{image}/pos_embed"])
    assert_close(resized, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("interpolation", ["franca", "antialias"])
def test_constant_positions_stay_constant_and_cls_is_untouched(interpolation):
    pos_embed = torch.cat([torch.full((1, 1, 3), 7.0), torch.full((1, 16, 3), -2.0)], dim=1)
    resized = resize_pos_embed(pos_embed, grid=(5, 9), interpolation=interpolation)
    assert_close(resized[:, 0], torch.full((1, 3), 7.0))
    assert_close(resized[:, 1:], torch.full((1, 45, 3), -2.0))


def test_every_grid_from_1_to_40_has_its_exact_size():
    pos_embed = torch.zeros(1, 1 + 16 * 16, 1)
    for side in range(1, 41):
        resized = resize_pos_embed(pos_embed, grid=(side, 41 - side or 1), interpolation="franca")
        assert resized.shape[1] == 1 + side * (41 - side or 1)


def test_the_two_laws_differ_off_the_learnt_grid():
    franca, antialias = (
        resize_pos_embed(LEARNT, grid=(2, 2), interpolation=law) for law in ("franca", "antialias")
    )
    assert (franca - antialias).abs().max() > 0.01


def test_half_precision_is_interpolated_in_single():
    half = resize_pos_embed(LEARNT.bfloat16(), grid=(6, 6), interpolation="franca")
    single = resize_pos_embed(LEARNT.bfloat16().float(), grid=(6, 6), interpolation="franca")
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, single.bfloat16())
