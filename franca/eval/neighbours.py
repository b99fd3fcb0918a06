"""Exact nearest neighbours by cosine similarity, in blocks that fit any memory."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

_BFLOAT16 = 2.0**-8  # twice the relative error of rounding to bfloat16
_MULTIPLIES_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # as Linux names what a processor can do
_FEW = 64  # more neighbours than that make the lists long
_CACHED = 512  # queries at a time, so that their products with a block stay in cache
_COLUMNS = 8  # products of which one search keeps the greatest
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
    disk, or computed as it is asked for. On a processor that multiplies bfloat16, rounded products
    list candidates and single precision decides, to the same answer; on others faiss multiplies.
    Which of several equally similar rows is returned at the last rank is arbitrary.

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
    return single_precision_search(queries, bank, neighbours=neighbours, block=block, device=device)


def single_precision_search(
    queries: Tensor,
    bank: Tensor | Iterable[Tensor],
    *,
    neighbours: int,
    block: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Do what `cosine_search` does, without rounding."""
    parts = [normalize(part.to(device, torch.float32), dim=1) for part in queries.split(block)]
    best = [_nothing(len(part), device) for part in parts]
    start = 0
    for rows in bank.split(block) if isinstance(bank, Tensor) else bank:
        unit = normalize(rows.to(device, torch.float32), dim=1)
        for number, part in enumerate(parts):
            found = _nearest(part, unit, neighbours=neighbours)
            best[number] = _merged(best[number], found, start=start, neighbours=neighbours)
        start += len(rows)
    similarity, index = zip(*best, strict=True)
    return torch.cat(similarity).cpu(), torch.cat(index).cpu()


def _nearest(
    queries: Float[Tensor, "queries dim"], rows: Float[Tensor, "rows dim"], *, neighbours: int
) -> tuple[Tensor, Tensor]:
    """Return the greatest products with the rows, best first, and which rows they are of."""
    if rows.device.type == "cpu" and neighbours <= min(_FEW, len(rows)):
        import faiss  # half a second, for those who search

        found = faiss.knn(
            queries.numpy(), rows.numpy(), neighbours, metric=faiss.METRIC_INNER_PRODUCT
        )
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    return (queries @ rows.T).topk(min(neighbours, len(rows)), dim=1)


def _greatest(products: Float[Tensor, "queries rows"], *, count: int) -> tuple[Tensor, Tensor]:
    """Return the greatest products of each query, best first, and their columns.

    They lie among the columns of a table whose greatest entries are the greatest, and only those
    are sorted.
    """
    width = products.shape[1] // _COLUMNS
    if width < 2 * count:
        return products.topk(min(count, products.shape[1]), dim=1)
    table = products[:, : width * _COLUMNS].view(len(products), _COLUMNS, width)
    best = table.amax(1).topk(count, dim=1, sorted=False).indices
    columns = (best[:, None] + width * torch.arange(_COLUMNS)[:, None]).flatten(1)
    beyond = torch.arange(width * _COLUMNS, products.shape[1]).expand(len(products), -1)
    columns = torch.cat([columns, beyond], dim=1)
    values, order = products.gather(1, columns).topk(count, dim=1)
    return values, columns.gather(1, order)


def _rounding_pays(device: torch.device, bank: Tensor, *, neighbours: int) -> bool:
    """Say whether the processor multiplies bfloat16 faster, and a short list is short."""
    if device.type != "cpu" or neighbours > _FEW or _listed(neighbours) * 4 > len(bank):
        return False
    return not _MULTIPLIES_BFLOAT16.isdisjoint(processor_flags())


@cache
def processor_flags() -> frozenset[str]:
    """Return what Linux says the processor can do; nothing on other systems."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), ()))


def _listed(neighbours: int) -> int:
    return neighbours + max(12, neighbours)


def _rounded_search(
    queries: Tensor, bank: Tensor, *, neighbours: int, block: int
) -> tuple[Tensor, Tensor]:
    """List candidates by products of rounded rows, and sort them out in single precision.

    A product moves by no more than rounding moves its two rows, and once more when it is stored. A
    query for which a row that is not listed might belong to the neighbours is searched again
    without rounding, so the answer is exact for all.
    """
    parts = [_rounded(part) for part in queries.split(min(block, _CACHED))]
    best = [_nothing(len(part), bank.device) for part, _ in parts]
    start, moved = 0, 0.0
    for rows in bank.split(block):
        low, by = _rounded(rows)
        moved = max(moved, float(by.max()))
        for number, (part, _) in enumerate(parts):
            found = _greatest(part @ low.T, count=_listed(neighbours))
            best[number] = _merged(best[number], found, start=start, neighbours=_listed(neighbours))
        start += len(rows)
    similarity, index = _reordered(queries, bank, torch.cat([rows for _, rows in best]))
    similarity, index = similarity[:, :neighbours], index[:, :neighbours]
    last = torch.cat([values[:, -1] for values, _ in best]).float()
    bound = last + _BFLOAT16 * last.abs() + torch.cat([by for _, by in parts]) + 1.01 * moved + 1e-5
    unsure = (similarity[:, -1] < bound).nonzero()[:, 0]
    if len(unsure):
        again = single_precision_search(
            queries[unsure], bank, neighbours=neighbours, block=block, device=bank.device
        )
        similarity[unsure], index[unsure] = again
    return similarity, index


def _rounded(
    rows: Float[Tensor, "rows dim"],
) -> tuple[Float[Tensor, "rows dim"], Float[Tensor, " rows"]]:
    """Return unit rows in bfloat16, and how far rounding has moved each of them."""
    unit = normalize(rows.float(), dim=1)
    low = unit.bfloat16()
    return low, unit.sub_(low).norm(dim=1)


def _reordered(queries: Tensor, bank: Tensor, listed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines of listed rows in single precision, best first, and the rows."""
    part = max(1, _MOST_GATHERED // (listed.shape[1] * bank.shape[1]))
    found = []
    for few, rows in zip(queries.split(part), listed.split(part), strict=True):
        unit = normalize(few.float(), dim=1)
        near = bank[rows].float()
        lengths = near.norm(dim=2).clamp_min(1e-12)  # as `normalize` does
        found.append(torch.einsum("qd,qkd->qk", unit, near) / lengths)
    similarity, order = torch.cat(found).sort(dim=1, descending=True)
    return similarity, listed.gather(1, order)


def _nothing(queries: int, device: torch.device) -> tuple[Tensor, Tensor]:
    empty = torch.empty(queries, 0, device=device)
    return empty, empty.long()


def _merged(
    best: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor], *, start: int, neighbours: int
) -> tuple[Tensor, Tensor]:
    """Return the best of what was found so far and of what a block, from row `start` on, has."""
    similarity = torch.cat([best[0], found[0]], dim=1)
    index = torch.cat([best[1], found[1] + start], dim=1)
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
