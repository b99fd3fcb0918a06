"""Masks of a batch: which crops, how many patches, and their weights."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from franca.masking.batch import count_bounds, index_masks, join_groups, sample_masks
from franca.masking.block import BlockMask
from franca.masking.cyclic import CyclicMask
from franca.randomness import numpy_generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "masks.npz", allow_pickle=False)
TABLE = ORACLE["in/upperbound_table/batch_prob_min_max_tokens"]
COLLATED = {
    "franca": {"num_crops": 8, "num_patches": 256, "probability": 0.5, "ratio": (0.1, 0.65)},
    "dinov2": {"num_crops": 6, "num_patches": 256, "probability": 0.5, "ratio": (0.1, 0.5)},
    "none": {"num_crops": 2, "num_patches": 16, "probability": 0.0, "ratio": (0.1, 0.5)},
}


def draw(seed=0, *, masker=None, **options):
    options = COLLATED["franca"] | options
    masker = masker or CyclicMask((16, 16))
    return sample_masks(masker, **options, generator=numpy_generator(seed, "masks"))


@pytest.mark.parametrize("case", COLLATED)
def test_bounds_equal_the_released_collation(case):
    bounds = count_bounds(**COLLATED[case])
    assert bounds.tolist() == ORACLE[f"out/collate/{case}/count_bounds"].tolist()
    assert bounds[:, 1].sum() == ORACLE[f"out/collate/{case}/upperbound"]


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_upper_bounds_and_numbers_of_masked_crops_equal_the_released_code(row):
    batch, probability, low, high, patches = TABLE[row].tolist()
    bounds = count_bounds(
        num_crops=2 * int(batch),
        num_patches=int(patches),
        probability=probability,
        ratio=(low, high),
    )
    upper, masked = ORACLE["out/upperbound_table/upperbound_and_n_masked_images"][row]
    assert bounds[:, 1].sum() == upper
    assert len(bounds) == masked


def test_edges_of_the_range_are_rounded_to_fp32_as_in_the_released_code():
    """At 364 px one count of a batch of 13 masked crops depends on it."""
    edges = torch.linspace(0.1, 0.65, 14)
    expected = [int(676 * edge) for edge in edges]
    assert expected != [int(676 * edge) for edge in np.linspace(0.1, 0.65, 14)]
    bounds = count_bounds(num_crops=26, num_patches=676, probability=0.5, ratio=(0.1, 0.65))
    assert bounds.tolist() == list(map(list, pairwise(expected)))


@pytest.mark.parametrize("case", COLLATED)
def test_indices_and_weights_equal_the_released_collation(case):
    stored = f"out/collate/{case}"
    batch = index_masks(torch.from_numpy(ORACLE[f"{stored}/collated_masks"]))
    assert batch.indices.tolist() == ORACLE[f"{stored}/mask_indices_list"].tolist()
    assert len(batch.indices) == ORACLE[f"{stored}/n_masked_patches"]
    assert_close(batch.token_weights, torch.from_numpy(ORACLE[f"{stored}/masks_weight"]))


@pytest.mark.parametrize("seed", range(5))
def test_counts_lie_in_their_parts_of_the_range(seed):
    counts = np.sort(draw(seed).masks.sum(dim=1).numpy())
    bounds = count_bounds(**COLLATED["franca"])
    assert counts[:4].tolist() == [0] * 4
    assert (counts[4:] >= bounds[:, 0]).all()
    assert (counts[4:] <= bounds[:, 1]).all()


def test_weights_of_each_masked_crop_sum_to_one():
    batch = draw(num_crops=20)
    assert_close(batch.token_weights.sum(), torch.tensor(10.0))
    sums = torch.zeros(20).index_add(0, batch.indices // 256, batch.token_weights)
    assert_close(sums, batch.masks.any(dim=1).float())


def test_upper_counts_are_constant():
    totals = {int(draw(seed, counts="upper").masks.sum()) for seed in range(5)}
    assert totals == {int(ORACLE["out/collate/franca/upperbound"])}


def test_every_crop_is_masked_equally_often():
    masked = torch.stack([draw(seed).masks.any(dim=1) for seed in range(400)]).float()
    z = (masked.mean(dim=0) - 0.5) / (0.25 / 400) ** 0.5
    assert z.abs().max() < 4.5


def test_both_views_of_an_image_are_masked_independently():
    """Crops i and i + batch are views of one image; both masked has the chance of any two crops."""
    masked = torch.stack([draw(seed).masks.any(dim=1) for seed in range(400)])
    both = (masked[:, :4] & masked[:, 4:]).float().mean()
    chance = 4 / 8 * 3 / 7
    assert abs(both - chance) < 5 * (chance * (1 - chance) / 1600) ** 0.5


def test_block_masks_fit_the_same_batch():
    batch = draw(masker=BlockMask((16, 16)), ratio=(0.1, 0.5))
    assert batch.masks.any(dim=1).sum() == 4


def test_draws_repeat_with_the_generator():
    assert torch.equal(draw(1).masks, draw(1).masks)
    assert not torch.equal(draw(1).masks, draw(2).masks)


def test_padded_masks_have_the_rows_of_the_released_buffers():
    batch = draw(padded=True)
    assert int(batch.rows.sum()) == int(ORACLE["out/collate/franca/upperbound"])
    assert batch.num_surplus == int(batch.rows.sum() - batch.masks.sum()) > 0
    assert (batch.rows > 0).equal(batch.masks.any(dim=1))
    parts = [batch.of_images(part, num_images=4) for part in (range(1), range(1, 4))]
    assert sum(part.num_surplus for part in parts) == batch.num_surplus
    assert draw().num_surplus == draw(counts="upper", padded=True).num_surplus == 0
    assert torch.equal(draw().masks, batch.masks)


def test_groups_are_joined_view_by_view():
    groups = [draw(seed, padded=True) for seed in range(3)]
    batch = join_groups(groups)
    assert batch.num_surplus == sum(group.num_surplus for group in groups)
    for number, group in enumerate(groups):
        part = batch.of_images(range(4 * number, 4 * number + 4), num_images=12)
        assert torch.equal(part.masks, group.masks)
        assert torch.equal(part.rows, group.rows)
        assert torch.equal(part.token_weights, group.token_weights)
