"""Sinkhorn-Knopp: the released targets, the marginals, any range of logits, several processes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from franca.losses.sinkhorn import sinkhorn_knopp

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "losses.npz", allow_pickle=False)
CASES = {"levels5": 5, "padded": 3, "one_row": 1, "wide": 1}


def in_logarithms(logits, temperature, iterations=3):
    """The same in float64 and logarithms, where nothing can overflow."""
    a = logits.double() / temperature
    for _ in range(iterations):
        a = a - a.logsumexp(dim=0, keepdim=True)
        a = a - a.logsumexp(dim=1, keepdim=True)
    return a.exp()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [0.04, 0.07])
def test_targets_equal_the_released_codes(case, temperature):
    logits = [torch.from_numpy(ORACLE[f"in/sk/{case}/t{i}"]) for i in range(CASES[case])]
    targets = sinkhorn_knopp(logits, temperature=temperature)
    prefix = f"out/sk/{case}/temp{temperature}"
    for level, target in enumerate(targets):
        for name in (f"dino_{level}", f"ibot_{level}"):
            expected = torch.from_numpy(ORACLE[f"{prefix}/{name}"])
            assert_close(target, expected, atol=1e-5, rtol=5e-5)
    expected = torch.from_numpy(ORACLE[f"{prefix}/dinov2_last"])
    assert_close(targets[-1], expected, atol=1e-5, rtol=5e-5)
    once = sinkhorn_knopp(logits, temperature=temperature, iterations=1)[-1]
    expected = torch.from_numpy(ORACLE[f"{prefix}/dino_last_1iter"])
    assert_close(once, expected, atol=1e-5, rtol=5e-5)


@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 6.0, 1000.0])
@pytest.mark.parametrize("shape", [(256, 1024), (300, 4), (5, 200), (1, 7)])
def test_right_and_finite_at_any_range(shape, std):
    torch.manual_seed(0)
    logits = std * torch.randn(shape)
    target = sinkhorn_knopp([logits], temperature=0.04)[0]
    assert (target.double() - in_logarithms(logits, 0.04)).abs().max() < 2e-6


@pytest.mark.parametrize(
    ("most", "one"),  # exponents: of all rows but one, and of that one
    [(44.8, -15), (-15, 44.8), (-44.8, 15), (44, -44), (60, 60), (89.5, 89.5), (-89.5, -89.5)],
)
def test_right_within_beside_and_beyond_the_range_of_unshifted_exponentials(most, one):
    """Without a shift, products of the last four leave fp32, or its normal numbers."""
    noise = 0.1 * torch.randn(50_000, 3, generator=torch.Generator().manual_seed(0))
    noise[:-1] += most
    noise[-1] += one
    target = sinkhorn_knopp([noise], temperature=1.0)[0]
    assert_close(target, in_logarithms(noise, 1.0).float(), atol=0, rtol=2e-5)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    prototypes=st.integers(1, 40),
    std=st.floats(0.001, 50),
    seed=st.integers(0, 10**6),
)
def test_rows_sum_to_one_and_prototypes_approach_equal_shares(rows, prototypes, std, seed):
    logits = std * torch.randn(rows, prototypes, generator=torch.Generator().manual_seed(seed))
    target = sinkhorn_knopp([logits], temperature=0.07)[0]
    assert target.min() >= 0
    assert_close(target.sum(dim=1), torch.ones(rows), atol=1e-5, rtol=0)
    once = sinkhorn_knopp([logits], temperature=0.07, iterations=1)[0]
    share = rows / prototypes
    # Each iteration of Sinkhorn brings the columns closer to balance in this distance.
    assert (target.sum(0) - share).abs().sum() <= (once.sum(0) - share).abs().sum() + 1e-4


def test_converges_to_both_marginals():
    torch.manual_seed(0)
    target = sinkhorn_knopp([torch.randn(64, 16)], temperature=0.5, iterations=50)[0]
    assert_close(target.sum(dim=0), torch.full((16,), 4.0), atol=1e-3, rtol=0)


def test_shifting_a_row_far_away_changes_nothing_once_balanced():
    """Rows are normalised: only differences within a row matter for a single row's own share."""
    torch.manual_seed(0)
    logits = torch.randn(1, 12)
    assert_close(
        sinkhorn_knopp([logits], temperature=0.1)[0],
        sinkhorn_knopp([logits + 40], temperature=0.1)[0],
    )


def test_levels_are_independent_and_inputs_untouched():
    torch.manual_seed(0)
    logits = [torch.randn(6, 4), 30 * torch.randn(9, 8), torch.randn(0, 3)]
    copies = [level.clone() for level in logits]
    together = sinkhorn_knopp(logits, temperature=0.05)
    for level, copy, target in zip(logits, copies, together, strict=True):
        assert torch.equal(level, copy)
        assert torch.equal(target, sinkhorn_knopp([level], temperature=0.05)[0])
    assert together[2].shape == (0, 3)


def test_half_precision_logits_give_fp32_targets():
    logits = torch.randn(8, 6).bfloat16()
    target = sinkhorn_knopp([logits], temperature=0.05)[0]
    assert target.dtype == torch.float32
    assert torch.equal(target, sinkhorn_knopp([logits.float()], temperature=0.05)[0])


def _balance_a_part(rank, folder, splits, cases):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = dist.FileStore(f"{folder}/store", len(splits))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=len(splits))
    calls = []
    reduce = dist.all_reduce
    dist.all_reduce = lambda tensor, **kwargs: (
        calls.append(tensor.numel()),
        reduce(tensor, **kwargs),
    )
    for name, logits in cases.items():
        calls.clear()
        parts = [level.split(splits)[rank] for level in logits]
        targets = sinkhorn_knopp(parts, temperature=0.04, group=dist.group.WORLD)
        arrays = [target.numpy() for target in targets]
        np.savez(f"{folder}/{name}-{rank}.npz", *arrays, calls=np.array(calls))
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("splits", [[7, 3], [10, 0]])
def test_two_processes_balance_their_rows_together(tmp_path, splits):
    torch.manual_seed(0)
    narrow = [torch.randn(10, 4) * 0.1, torch.randn(10, 8) * 0.3, torch.randn(10, 16).clamp(-1, 1)]
    cases = {
        "narrow": narrow,
        "wide": [narrow[0], narrow[1] * 100, narrow[2]],
        "shifted": [narrow[0], narrow[1], narrow[2] + 40],
        "shifted down": [narrow[0], narrow[1], narrow[2] - 40],
        "wide on one rank": [*narrow[:2], torch.cat([narrow[2][:7], narrow[2][7:] * 30])],
    }
    mp.spawn(_balance_a_part, (str(tmp_path), splits, cases), nprocs=2)
    # Of 28 columns; on the first ride two bounds of three matrices from each of two processes.
    # Logits of up to +-1 are narrow enough for what has no shift.
    expected_calls = {
        "narrow": [28 + 12, 28, 28],
        "wide": [28 + 12, 8, 8, 28, 28],
        "shifted": [28 + 12, 16, 16, 28, 28],
        "shifted down": [28 + 12, 16, 16, 28, 28],
        "wide on one rank": [28 + 12, 16, 16, 28, 28],
    }
    for name, logits in cases.items():
        parts = [np.load(tmp_path / f"{name}-{rank}.npz", allow_pickle=False) for rank in range(2)]
        for level, target in enumerate(sinkhorn_knopp(logits, temperature=0.04)):
            pooled = np.concatenate([part[f"arr_{level}"] for part in parts])
            assert_close(torch.from_numpy(pooled), target, atol=1e-6, rtol=1e-5)
        assert all(part["calls"].tolist() == expected_calls[name] for part in parts)
