"""Blocked search against the dense one."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from franca.eval import neighbours
from franca.eval.neighbours import cosine_search

CPU = torch.device("cpu")


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("neighbours", [1, 5, 200])
def test_blocks_change_nothing(block, neighbours):
    source = torch.Generator().manual_seed(0)
    bank, queries = (torch.randn(n, 6, generator=source) for n in (50, 9))
    similarity, index = cosine_search(queries, bank, neighbours=neighbours, block=block, device=CPU)
    dense = (normalize(queries, dim=1) @ normalize(bank, dim=1).T).sort(1, descending=True)
    kept = min(neighbours, 50)
    assert torch.equal(index, dense.indices[:, :kept])
    torch.testing.assert_close(similarity, dense.values[:, :kept])


def test_half_precision_bank_is_compared_in_single_precision():
    bank = torch.tensor([[1.0, 0.0], [1.0, 1e-3], [0.0, 1.0]], dtype=torch.float16)
    similarity, index = cosine_search(bank[:1], bank, neighbours=3, block=2, device=CPU)
    assert index.tolist() == [[0, 1, 2]]
    assert similarity.dtype == torch.float32
    assert similarity[0, 1] < 1


def test_zero_vectors_are_similar_to_nothing():
    similarity, _ = cosine_search(
        torch.zeros(1, 3), torch.eye(3), neighbours=3, block=8, device=CPU
    )
    assert similarity.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("spread", [1.0, 0.02])
def test_rounded_products_list_and_single_precision_decides(spread):
    """With little spread rounding cannot tell the rows apart, and they are searched again."""
    source = torch.Generator().manual_seed(0)
    points = 1.0 + spread * torch.randn(430, 24, generator=source)
    queries, bank = points[:30], points[30:]
    found, index = neighbours._rounded_search(queries, bank, neighbours=5, block=128)
    unit = [normalize(part.double(), dim=1) for part in (queries, bank)]
    exact = unit[0] @ unit[1].T
    torch.testing.assert_close(found.double(), exact.topk(5, dim=1).values, atol=1e-6, rtol=0)
    torch.testing.assert_close(exact.gather(1, index), found.double(), atol=1e-6, rtol=0)


def test_rounding_pays_for_short_lists_of_large_banks_only(monkeypatch):
    monkeypatch.setattr(neighbours, "processor_flags", lambda: {"avx", "avx512_bf16"})
    bank, cpu = torch.ones(200, 2), torch.device("cpu")
    assert neighbours._rounding_pays(cpu, bank, neighbours=20)
    assert not neighbours._rounding_pays(cpu, bank, neighbours=100)
    assert not neighbours._rounding_pays(cpu, bank[:60], neighbours=20)
    monkeypatch.setattr(neighbours, "processor_flags", lambda: {"avx", "avx512f"})
    assert not neighbours._rounding_pays(cpu, bank, neighbours=20)


def test_flags_are_those_of_this_processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    listed = [line.split(":")[1].split() for line in lines if line.startswith("flags")]
    assert all(set(flags) <= neighbours.processor_flags() for flags in listed)


@pytest.mark.parametrize("rows", [3, 80, 163, 1000])
def test_only_the_best_columns_are_sorted(rows):
    products = torch.randn(7, rows, generator=torch.Generator().manual_seed(0))
    values, columns = neighbours._greatest(products, count=5)
    expected = products.topk(min(5, rows), dim=1)
    assert torch.equal(values, expected.values)
    assert torch.equal(columns, expected.indices)


def test_both_forms_find_the_same_where_a_block_is_smaller_than_the_list():
    source = torch.Generator().manual_seed(0)
    queries, bank = (torch.randn(n, 16, generator=source) for n in (600, 1003))
    rounded = neighbours._rounded_search(queries, bank, neighbours=20, block=250)
    plain = neighbours.single_precision_search(queries, bank, neighbours=20, block=7, device=CPU)
    assert torch.equal(rounded[1], plain[1])
    torch.testing.assert_close(rounded[0], plain[0])
