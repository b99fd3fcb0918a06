"""Exact nearest neighbours by cosine similarity, in blocks that fit any memory."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


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
    disk, or computed as it is asked for. Which of several equally similar rows is returned at the
    last rank is arbitrary.

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
