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
# With this bound on each exponent no shift is needed; logits of unit embeddings keep to it.
_SAFE_EXPONENT = 45.0
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

    Finite and right to about 1e-6 for logits of any range. The first normalisation of columns
    cancels any number that is added to a column, so exponents that would leave fp32 are shifted by
    the top of their column; rows far below all tops are shifted up, which the normalisation of rows
    cancels.

    Args:
        logits: one matrix per level or head; they need not have the same number of rows. Rows must
            be samples: padded rows would take their share of the prototypes.
        temperature: of the teacher.
        iterations: at least 1.
        group: processes whose rows are balanced together; None means this process alone. The
            matrices share each reduction, and there is one per iteration: bounds of the logits ride
            on the first. If these tell that exponents must be shifted, two more reductions follow.

    Returns:
        fp32 matrices, as many and as large as `logits`.
    """
    matrices = [matrix.float() for matrix in logits]
    exponentials, column_scales = _first_columns(matrices, temperature=temperature, group=group)
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
    matrices: list[Tensor], *, temperature: float, group: dist.ProcessGroup | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Normalise the columns once: return exponentials and the factors that normalise them."""
    mine = torch.stack([_bounds(matrix) for matrix in matrices]) / temperature
    unsafe_here = _unsafe(mine)
    exponentials = [
        # What is unsafe here is unsafe for all, and will be made again.
        matrix.new_zeros(()).expand_as(matrix)
        if i in unsafe_here
        else torch.mul(matrix, 1 / temperature).exp_()
        for i, matrix in enumerate(matrices)
    ]
    *sums, everyones = _reduce(
        [*(e.sum(dim=0) for e in exponentials), _in_own_slot(mine, group)], dist.ReduceOp.SUM, group
    )
    unsafe = unsafe_here if group is None else _unsafe(everyones.amax(dim=0))
    tops = _reduce([_column_tops(matrices[i]) for i in unsafe], dist.ReduceOp.MAX, group)
    for i, top in zip(unsafe, tops, strict=True):
        exponentials[i] = torch.sub(matrices[i], top).mul_(1 / temperature).exp_()
    shifted = _reduce([exponentials[i].sum(dim=0) for i in unsafe], dist.ReduceOp.SUM, group)
    for i, top, total in zip(unsafe, tops, shifted, strict=True):
        sums[i] = total
        _lift_deep_rows_(exponentials[i], matrices[i], top, temperature=temperature)
    return exponentials, [1 / total for total in sums]


def _unsafe(bounds: Float[Tensor, "matrices 2"]) -> list[int]:
    """Return which matrices need a shift, given (maximum, -minimum) of the exponents of each."""
    return [
        i
        for i, (top, minus_bottom) in enumerate(bounds.tolist())
        if max(top, minus_bottom) > _SAFE_EXPONENT or top + minus_bottom > _SAFE_RANGE
    ]


def _in_own_slot(
    bounds: Float[Tensor, "matrices 2"], group: dist.ProcessGroup | None
) -> Float[Tensor, "processes matrices 2"]:
    """Return zeros but for this process's slot: the sum over the processes gathers all of them."""
    if group is None:
        return bounds[None]
    slots = bounds.new_zeros(group.size(), *bounds.shape)
    slots[group.rank()] = bounds
    return slots


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
    """Return (maximum, -minimum)."""
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
