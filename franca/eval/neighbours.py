"""Exact nearest neighbours by cosine similarity, in blocks that fit any memory."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

_BFLOAT16 = 2.0**-8  # relative error of rounding to bfloat16
_MOST_ROUNDED = 64  # more neighbours than that make the lists long
_MOST_GATHERED = 2**22  # numbers of listed rows held at a time


def cosine_search(
    queries: Float[Tensor, "queries dim"],
    bank: Float[Tensor, "bank dim"] | Iterable[Tensor],
    *,
    neighbours: int,
    block: int,
    device: torch.device,
) -> tuple[Float[Tensor, "queries neighbours"], Int[Tensor, "queries neighbours"]]:
    """Find the most similar rows of the bank for each query.

    The search is exact: blocks of the bank are merged into a running top-k, so the whole
    similarity matrix never exists, and each row of the bank is read once: it may be mapped from
    disk, or computed as it is asked for. Where the processor multiplies bfloat16, rounded products
    list candidates and single precision decides, to the same answer. Which of several equally
    similar rows is returned at the last rank is arbitrary.

        for rows in bank, a block at a time:
            for each query:
                keep the most similar of its best so far and of these rows

    Args:
        queries: need not be normalised; nor need the bank.
        bank: rows, any floating-point type, compared in float32; or blocks of them, one by one.
        neighbours: how many; clamped to the size of the bank.
        block: rows of queries and of bank held at a time.
        device: where the products are computed.

    Returns:
        Cosine similarities, best first, and row numbers in the bank.
    """
    if isinstance(bank, Tensor) and _rounding_pays(device, bank, neighbours=neighbours):
        return _rounded_search(queries, bank, neighbours=neighbours, block=block)
    return _plain_search(queries, bank, neighbours=neighbours, block=block, device=device)


def _plain_search(
    queries: Tensor,
    bank: Tensor | Iterable[Tensor],
    *,
    neighbours: int,
    block: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    parts = queries.split(block)
    best = [_nothing(len(part), device) for part in parts]
    start = 0
    for rows in bank.split(block) if isinstance(bank, Tensor) else bank:
        unit = normalize(rows.to(device, torch.float32), dim=1)
        for number, part in enumerate(parts):
            products = normalize(part.to(device, torch.float32), dim=1) @ unit.T
            best[number] = _merged(best[number], products, start=start, neighbours=neighbours)
        start += len(rows)
    similarity, index = zip(*best, strict=True)
    return torch.cat(similarity).cpu(), torch.cat(index).cpu()


def _rounding_pays(device: torch.device, bank: Tensor, *, neighbours: int) -> bool:
    """Say whether the processor multiplies bfloat16 faster, and a short list is short."""
    if device.type != "cpu" or neighbours > _MOST_ROUNDED or _listed(neighbours) * 4 > len(bank):
        return False
    return torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - the only way to ask


def _listed(neighbours: int) -> int:
    return neighbours + max(12, neighbours // 2)


def _rounded_search(
    queries: Tensor, bank: Tensor, *, neighbours: int, block: int
) -> tuple[Tensor, Tensor]:
    """List candidates by products of rounded rows, and sort them out in single precision.

    Rounding moves a unit row by no more than 2^-8, and their product once more when it is stored.
    A query for which a row that is not listed might belong to the neighbours is searched again
    without rounding, so the answer is exact for all.
    """
    best = [_nothing(len(part), bank.device) for part in queries.split(block)]
    low_queries = [_rounded(part) for part in queries.split(block)]
    start = 0
    for rows in bank.split(block):
        low = _rounded(rows)
        for number, part in enumerate(low_queries):
            products = part @ low.T
            best[number] = _merged(
                best[number], products, start=start, neighbours=_listed(neighbours)
            )
        start += len(rows)
    similarity, index = _reordered(queries, bank, torch.cat([rows for _, rows in best]))
    similarity, index = similarity[:, :neighbours], index[:, :neighbours]
    last = torch.cat([values[:, -1] for values, _ in best]).float()
    bound = last + _BFLOAT16 * (2.0 + _BFLOAT16 + last.abs()) + 1e-5
    unsure = (similarity[:, -1] < bound).nonzero()[:, 0]
    if len(unsure):
        again = _plain_search(
            queries[unsure], bank, neighbours=neighbours, block=block, device=bank.device
        )
        similarity[unsure], index[unsure] = again
    return similarity, index


def _rounded(rows: Tensor) -> Tensor:
    return normalize(rows.float(), dim=1).bfloat16()


def _reordered(queries: Tensor, bank: Tensor, listed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines of listed rows in single precision, best first, and the rows."""
    part = max(1, _MOST_GATHERED // (listed.shape[1] * bank.shape[1]))
    found = []
    for few, rows in zip(queries.split(part), listed.split(part), strict=True):
        unit = normalize(few.float(), dim=1)
        near = normalize(bank[rows].float(), dim=2)
        found.append(torch.einsum("qd,qkd->qk", unit, near))
    similarity, order = torch.cat(found).sort(dim=1, descending=True)
    return similarity, listed.gather(1, order)


def _nothing(queries: int, device: torch.device) -> tuple[Tensor, Tensor]:
    empty = torch.empty(queries, 0, device=device)
    return empty, empty.long()


def _merged(
    best: tuple[Tensor, Tensor], products: Tensor, *, start: int, neighbours: int
) -> tuple[Tensor, Tensor]:
    """Return the best of what was found so far and of the products with rows from `start` on."""
    values, local = products.topk(min(neighbours, products.shape[1]), dim=1)
    similarity = torch.cat([best[0], values], dim=1)
    index = torch.cat([best[1], local + start], dim=1)
    similarity, order = similarity.topk(min(neighbours, similarity.shape[1]), dim=1)
    return similarity, index.gather(1, order)


def without_self(
    similarity: Float[Tensor, "queries neighbours"], index: Int[Tensor, "queries neighbours"]
) -> tuple[Float[Tensor, "queries others"], Int[Tensor, "queries others"]]:
    """Leave out row i among the neighbours of query i, or the last one where it is not there."""
    own = index == torch.arange(len(index))[:, None]
    own[:, -1] |= ~own.any(1)
    shape = (len(index), -1)
    return similarity[~own].view(shape), index[~own].view(shape)
