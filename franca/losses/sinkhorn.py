"""Sinkhorn-Knopp: teacher targets that use every prototype equally often.

Caron et al., SwAV, https://arxiv.org/abs/2006.09882; three iterations as in DINOv2 and Franca.
The matrix of exponentials is never rewritten: it stays as it is and two vectors scale it.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "_ _"]
"""[rows, prototypes]; both differ from matrix to matrix."""

# Sums and products of exponentials of such a range, and of their sums over millions of entries,
# stay normal numbers in fp32, which ends at e^-87 and e^88.
_SAFE_RANGE = 60.0
# A row this far below the top of every column is shifted in float64: single differences of numbers
# that large, divided by a small temperature, would lose the sixth digit.
_DEEP_ROW = 1e-7
_CHUNK = 1 << 22


@torch.no_grad()
def sinkhorn_knopp(
    logits: Sequence[Logits],
    *,
    temperature: float,
    iterations: int = 3,
    group: dist.ProcessGroup | None = None,
) -> list[Logits]:
    """Balance each matrix of teacher logits into targets; every row of the result sums to 1.

    Its loop form, for one matrix:

        Q = exp(logits / temperature)
        for _ in range(iterations):
            for k in range(prototypes): Q[:, k] /= Q[:, k].sum()   # over the rows of all processes
            for i in range(rows): Q[i] /= Q[i].sum()

    Finite and right to about 1e-6 for logits of any range. Where exponentials of the range over the
    temperature would leave fp32, each column is shifted by its own top, which the first
    normalisation of columns cancels, and rows far below all tops are shifted up, which the
    normalisation of rows cancels.

    Args:
        logits: one matrix per level or head; they need not have the same number of rows. Rows must
            be samples: padded rows would take their share of the prototypes.
        temperature: of the teacher.
        iterations: at least 1.
        group: processes whose rows are balanced together; None means this process alone. The
            matrices share each reduction: one sum per iteration, before them one maximum of two
            numbers per matrix, and one maximum of vectors if a matrix exceeds the safe range.

    Returns:
        fp32 matrices, as many and as large as `logits`.
    """
    matrices = [matrix.float() for matrix in logits]
    bounds = _reduce([_bounds(matrix) for matrix in matrices], dist.ReduceOp.MAX, group)
    exponentials, column_scales = _first_columns(
        matrices, torch.stack(bounds).tolist(), temperature=temperature, group=group
    )
    row_scales = _inverse_products(exponentials, column_scales)
    for _ in range(iterations - 1):
        sums = [e.T @ row for e, row in zip(exponentials, row_scales, strict=True)]
        column_scales = [1 / total for total in _reduce(sums, dist.ReduceOp.SUM, group)]
        row_scales = _inverse_products(exponentials, column_scales)
    return [
        e.mul_(column).mul_(row[:, None])
        for e, column, row in zip(exponentials, column_scales, row_scales, strict=True)
    ]


def _first_columns(
    matrices: list[Tensor],
    bounds: list[list[float]],
    *,
    temperature: float,
    group: dist.ProcessGroup | None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Normalise the columns once: return exponentials and the factors that normalise them."""
    wide = [
        index
        for index, (top, minus_bottom) in enumerate(bounds)
        if (top + minus_bottom) / temperature > _SAFE_RANGE
    ]
    tops = [matrix.new_tensor(top) for matrix, (top, _) in zip(matrices, bounds, strict=True)]
    column_tops = _reduce([_column_tops(matrices[i]) for i in wide], dist.ReduceOp.MAX, group)
    for index, column_top in zip(wide, column_tops, strict=True):
        tops[index] = column_top
    exponentials = [
        torch.sub(matrix, top).mul_(1 / temperature).exp_()
        for matrix, top in zip(matrices, tops, strict=True)
    ]
    sums = _reduce([e.sum(dim=0) for e in exponentials], dist.ReduceOp.SUM, group)
    for index in wide:
        _lift_deep_rows_(exponentials[index], matrices[index], tops[index], temperature=temperature)
    return exponentials, [1 / total for total in sums]


def _lift_deep_rows_(
    exponentials: Tensor, matrix: Tensor, column_top: Tensor, *, temperature: float
) -> None:
    """Rewrite the rows whose exponentials are all tiny, so that their largest is 1."""
    if len(matrix) == 0:
        return
    deep = (exponentials.amax(dim=1) < _DEEP_ROW).nonzero()[:, 0]
    for rows in deep.split(max(1, _CHUNK // matrix.shape[1])):
        below = matrix[rows].double() - column_top
        below -= below.amax(dim=1, keepdim=True)
        exponentials[rows] = below.div_(temperature).float().exp_()


def _bounds(matrix: Tensor) -> Tensor:
    """Return (maximum, -minimum), so that one reduction serves both."""
    if matrix.numel() == 0:
        return torch.full((2,), -torch.inf, device=matrix.device)
    bottom, top = matrix.aminmax()
    return torch.stack([top, -bottom])


def _column_tops(matrix: Tensor) -> Tensor:
    if len(matrix) == 0:
        return torch.full_like(matrix[:0].sum(dim=0), -torch.inf)
    return matrix.amax(dim=0)


def _inverse_products(exponentials: list[Tensor], scales: list[Tensor]) -> list[Tensor]:
    return [1 / (e @ scale) for e, scale in zip(exponentials, scales, strict=True)]


def _reduce(
    tensors: list[Tensor], operation: dist.ReduceOp.RedOpType, group: dist.ProcessGroup | None
) -> list[Tensor]:
    """Reduce all tensors over the processes of `group` in one call."""
    if group is None or not tensors:
        return tensors
    buffer = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(buffer, op=operation, group=group)
    parts = buffer.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
