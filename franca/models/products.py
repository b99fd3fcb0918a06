"""Matrix products whose result is fp32, of factors in fp32 or half precision."""

import torch
from jaxtyping import Float
from torch import Tensor


def multiply(
    a: Float[Tensor, "rows inner"],
    b: Float[Tensor, "inner columns"],
    *,
    out: Float[Tensor, "rows columns"] | None = None,
) -> Float[Tensor, "rows columns"]:
    """Return a @ b in fp32; products are also added in fp32.

    A GPU keeps the sums as they are. torch's CPU product rounds those of half-precision factors to
    their precision on the way, by at most 0.4 % in bf16. On a GPU the result of such factors has no
    gradient.

    Args:
        a: fp32 or half precision.
        b: of the same precision.
        out: fp32, rewritten; it has no gradient either.
    """
    if a.dtype == torch.float32:
        return torch.mm(a, b, out=out)
    if a.device.type == "cuda":
        wide: Tensor = torch.mm(a, b, out_dtype=torch.float32, out=out)
        return wide
    return torch.mm(a, b).float() if out is None else out.copy_(torch.mm(a, b))


def add_product(
    total: Float[Tensor, "rows columns"],
    a: Float[Tensor, "rows inner"],
    b: Float[Tensor, "inner columns"],
) -> None:
    """Add a @ b, as `multiply` makes it, to fp32 sums in place."""
    if a.dtype == torch.float32:
        total.addmm_(a, b)
    else:
        total.add_(multiply(a, b))
