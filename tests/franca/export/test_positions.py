"""Two matrix products give what torch's interpolation gives, under both laws, for any grid."""

import pytest
import torch

from franca.export.positions import resize_by_matrices
from franca.models.pos_embed import resize_pos_embed


@pytest.mark.parametrize("interpolation", ["franca", "antialias"])
@pytest.mark.parametrize("side", [4, 16, 37])
@pytest.mark.parametrize("grid", [(7, 7), (16, 16), (37, 37), (16, 5), (3, 40), (1, 1), (4, 60)])
def test_equals_interpolation(interpolation, side, grid):
    draw = torch.Generator().manual_seed(0)
    pos_embed = torch.randn(1, 1 + side * side, 6, generator=draw)
    wanted = resize_pos_embed(pos_embed, grid=grid, interpolation=interpolation)
    got = resize_by_matrices(pos_embed, grid=grid, interpolation=interpolation)
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("interpolation", ["franca", "antialias"])
def test_the_learnt_grid_stays_bit_for_bit(interpolation):
    pos_embed = torch.randn(1, 17, 6, generator=torch.Generator().manual_seed(0))
    got = resize_by_matrices(pos_embed, grid=(4, 4), interpolation=interpolation)
    assert torch.equal(got, pos_embed)
