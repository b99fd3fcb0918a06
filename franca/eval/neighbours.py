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
    found = [
        _search_block(part, bank, neighbours=min(neighbours, len(bank)), block=block, device=device)
        for part in queries.split(block)
    ]
    similarity, index = zip(*found, strict=True)
    return torch.cat(similarity), torch.cat(index)


def _search_block(
    queries: Tensor, bank: Tensor, *, neighbours: int, block: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    unit = normalize(queries.to(device, torch.float32), dim=1)
    similarity = torch.empty(len(unit), 0, device=device)
    index = torch.empty(len(unit), 0, dtype=torch.int64, device=device)
    for start in range(0, len(bank), block):
        rows = normalize(bank[start : start + block].to(device, torch.float32), dim=1)
        products = unit @ rows.T
        best, local = products.topk(min(neighbours, len(rows)), dim=1)
        similarity = torch.cat([similarity, best], dim=1)
        index = torch.cat([index, local + start], dim=1)
        similarity, order = similarity.topk(min(neighbours, similarity.shape[1]), dim=1)
        index = index.gather(1, order)
    return similarity.cpu(), index.cpu()
