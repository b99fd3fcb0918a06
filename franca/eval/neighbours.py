"""Exact nearest neighbours by cosine similarity, in blocks that fit any memory."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


def cosine_search(
    queries: Float[Tensor, "queries dim"],
    bank: Float[Tensor, "bank dim"],
    *,
    neighbours: int,
    block: int,
    device: torch.device,
) -> tuple[Float[Tensor, "queries neighbours"], Int[Tensor, "queries neighbours"]]:
    """Find the most similar rows of the bank for each query.

    The search is exact: blocks of the bank are merged into a running top-k, so the whole
    similarity matrix never exists and the bank may be mapped from disk. Which of several equally
    similar rows is returned at the last rank is arbitrary.

    Args:
        queries: need not be normalised; nor need the bank.
        bank: as above, any floating-point type; compared in float32.
        neighbours: how many; clamped to the size of the bank.
        block: rows of queries and of bank held at a time.
        device: where the products are computed.

    Returns:
        Cosine similarities, best first, and row numbers in the bank.
    """
    neighbours = min(neighbours, len(bank))
    similarity = torch.empty(len(queries), 0)
    index = torch.empty(len(queries), 0, dtype=torch.int64)
    for start in range(0, len(bank), block):
        rows = normalize(bank[start : start + block].to(device, torch.float32), dim=1)
        found = [_nearest(part, rows, neighbours=neighbours) for part in queries.split(block)]
        best, local = (torch.cat(parts) for parts in zip(*found, strict=True))
        similarity = torch.cat([similarity, best], dim=1)
        index = torch.cat([index, local + start], dim=1)
        similarity, order = similarity.topk(min(neighbours, similarity.shape[1]), dim=1)
        index = index.gather(1, order)
    return similarity, index


def _nearest(queries: Tensor, rows: Tensor, *, neighbours: int) -> tuple[Tensor, Tensor]:
    unit = normalize(queries.to(rows.device, torch.float32), dim=1)
    best, index = (unit @ rows.T).topk(min(neighbours, len(rows)), dim=1)
    return best.cpu(), index.cpu()


def without_self(
    similarity: Float[Tensor, "queries neighbours"], index: Int[Tensor, "queries neighbours"]
) -> tuple[Float[Tensor, "queries others"], Int[Tensor, "queries others"]]:
    """Leave out row i among the neighbours of query i, or the last one where it is not there."""
    own = index == torch.arange(len(index))[:, None]
    own[:, -1] |= ~own.any(1)
    shape = (len(index), -1)
    return similarity[~own].view(shape), index[~own].view(shape)
