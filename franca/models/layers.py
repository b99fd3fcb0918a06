"""Layers of the vision transformer, working on the tokens of several crop sizes packed flat.

All tokens of all crops lie in one matrix [rows, dim]; a `Packing` says which rows form a sequence.
Norms, linear maps and feed-forwards see one large matrix; only attention looks at the sequences.
The simple layers are written out: importing timm for them takes longer than importing torch.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, scaled_dot_product_attention, silu

from franca.models.archs import FeedForward, swiglu_hidden
from franca.models.stochastic_depth import Packing, Subset


def attend(
    q: Float[Tensor, "batch heads tokens width"],
    k: Float[Tensor, "batch heads tokens width"],
    v: Float[Tensor, "batch heads tokens width"],
) -> Float[Tensor, "batch heads tokens width"]:
    """Compute softmax(q kᵀ / √width) v."""
    # On CPUs with bf16 instructions the fused kernel is 3-5 times slower than two matrix products.
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        mixed: Tensor = scores.softmax(dim=-1).to(v.dtype) @ v
        return mixed
    return scaled_dot_product_attention(q, k, v)


class PatchEmbed(nn.Module):
    """Cut images into patches and map each linearly to a token."""

    def __init__(self, *, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Draw the weights from torch's default for convolutions, U(±1/√fan-in)."""
        bound = self.proj.weight[0].numel() ** -0.5
        for parameter in self.proj.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch patches dim"]:
        """Return the patches row by row."""
        tokens: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return tokens


class LayerScale(nn.Module):
    """Learnt factor per channel (https://arxiv.org/abs/2103.17239)."""

    def __init__(self, *, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Scale each channel."""
        return x * self.gamma


class Attention(nn.Module):
    """Multi-head self-attention within each sequence."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "rows dim"],
        packing: Packing,
        wanted: Int[Tensor, " wanted"] | None = None,
    ) -> Float[Tensor, "_ dim"]:
        """Attend sequence by sequence; one attention call per crop size.

        Args:
            x: packed tokens.
            packing: of `x`.
            wanted: rows to return; None returns all.
        """
        sizes = [batch * tokens for batch, tokens in packing]
        width = x.shape[1] // self.heads
        outputs = []
        for rows, (batch, tokens) in zip(self.qkv(x).split(sizes), packing, strict=True):
            q, k, v = rows.view(batch, tokens, 3, self.heads, width).permute(2, 0, 3, 1, 4)
            outputs.append(attend(q, k, v).transpose(1, 2).reshape(batch * tokens, x.shape[1]))
        attended = torch.cat(outputs)
        if wanted is not None:
            attended = attended.index_select(0, wanted)
        mixed: Tensor = self.proj(attended)
        return mixed

    def keys(self, x: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """Return the keys of every token, heads concatenated."""
        keys: Tensor = self.qkv(x).chunk(3, dim=-1)[1]
        return keys

    def first_token(
        self, x: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch heads tokens"]:
        """Return how much the first token of each sequence attends to every token; sums to 1."""
        batch, tokens, dim = x.shape
        width = dim // self.heads
        q, k, _ = self.qkv(x).view(batch, tokens, 3, self.heads, width).permute(2, 0, 3, 1, 4)
        weights: Tensor = (q[:, :, :1] @ k.transpose(2, 3) * width**-0.5).softmax(-1)
        return weights[:, :, 0]


class Mlp(nn.Module):
    """Plain feed-forward with one hidden layer and GELU."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Apply both layers to every token."""
        out: Tensor = self.fc2(gelu(self.fc1(x)))
        return out


class SwiGLU(nn.Module):
    """Gated feed-forward, (silu(x W1) * x W2) W3, with W1 and W2 in one matrix.

    Source: https://arxiv.org/abs/2002.05202; parameter names of the released weights.
    """

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Gate with the first half of `w12`."""
        out: Tensor = self.w3(gated_silu(self.w12(x)))
        return out


def gated_silu(hidden: Float[Tensor, "*rows two_hidden"]) -> Float[Tensor, "*rows hidden"]:
    """Return silu(first half) * second half; autograd keeps `hidden` and nothing else."""
    if torch.compiler.is_compiling():  # which fuses the plain form, and cannot trace the other
        gate, value = hidden.chunk(2, dim=-1)
        return silu(gate) * value
    apply = cast("Callable[[Tensor], Tensor]", _GatedSilu.apply)
    return apply(hidden)


class _GatedSilu(torch.autograd.Function):
    """Both halves of the gradient are written into one matrix, which saves joining them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        gate, value = hidden.chunk(2, dim=-1)
        return silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (hidden,) = ctx.saved_tensors
        gate, value = hidden.chunk(2, dim=-1)
        hidden_grad = torch.empty_like(hidden)
        gate_grad, value_grad = hidden_grad.chunk(2, dim=-1)
        torch.mul(grad, silu(gate), out=value_grad)
        torch.mul(grad, value, out=gate_grad)
        torch.ops.aten.silu_backward.grad_input(gate_grad, gate, grad_input=gate_grad)
        return hidden_grad


class Block(nn.Module):
    """Pre-norm transformer block: x += ls1(attn(norm1(x))), then x += ls2(mlp(norm2(x)))."""

    def __init__(self, *, width: int, heads: int, ffn: FeedForward, layer_scale: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width=width, heads=heads)
        self.ls1 = LayerScale(width=width, initial=layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = (
            SwiGLU(width=width, hidden=swiglu_hidden(width))
            if ffn == "swiglu"
            else Mlp(width=width, hidden=4 * width)
        )
        self.ls2 = LayerScale(width=width, initial=layer_scale)

    def forward(
        self,
        x: Float[Tensor, "rows dim"],
        packing: Packing,
        subsets: Sequence[Subset] | None = None,
        wanted: Int[Tensor, " wanted"] | None = None,
    ) -> Float[Tensor, "_ dim"]:
        """Apply both branches.

        Args:
            x: packed tokens.
            packing: of `x`.
            subsets: attention's and the feed-forward's rows; None stands for all.
            wanted: rows to return; of the others only queries, keys and values are computed.
        """
        attention_subset, mlp_subset = subsets or (None, None)
        if wanted is not None:
            out = self._attend_for(wanted, x, packing, attention_subset)
            branch = self._mlp_branch(out, ())
            if mlp_subset is not None:
                branch = branch * mlp_subset.find(wanted, num_rows=len(x))[1]
            return out + branch
        x = _add_branch(x, self._attention_branch, packing, attention_subset)
        return _add_branch(x, self._mlp_branch, packing, mlp_subset)

    def _attend_for(
        self, wanted: Tensor, x: Tensor, packing: Packing, subset: Subset | None
    ) -> Tensor:
        """Return the wanted rows with the attention branch added."""
        if subset is not None and not len(subset.rows):
            # Another process has the kept sequences; the gradients here are zeros, not missing.
            return _add_branch(x, self._attention_branch, packing, subset).index_select(0, wanted)
        out = x.index_select(0, wanted)
        if subset is None:
            whole: Tensor = out + self.ls1(self.attn(self.norm1(x), packing, wanted))
            return whole
        place, scale = subset.find(wanted, num_rows=len(x))
        kept = x.index_select(0, subset.rows)
        partial: Tensor = out + self.ls1(self.attn(self.norm1(kept), subset.packing, place)) * scale
        return partial

    def _attention_branch(self, x: Tensor, packing: Packing) -> Tensor:
        branch: Tensor = self.ls1(self.attn(self.norm1(x), packing))
        return branch

    def _mlp_branch(self, x: Tensor, _: Packing) -> Tensor:
        branch: Tensor = self.ls2(self.mlp(self.norm2(x)))
        return branch


def _add_branch(
    x: Tensor,
    branch: Callable[[Tensor, Packing], Tensor],
    packing: Packing,
    subset: Subset | None,
) -> Tensor:
    if subset is None:
        return x + branch(x, packing)
    residual = branch(x.index_select(0, subset.rows), subset.packing) * subset.scale
    add_rows = cast("Callable[[Tensor, Tensor, Tensor], Tensor]", _AddRows.apply)
    return add_rows(x, subset.rows, residual.to(x.dtype))


class _AddRows(torch.autograd.Function):
    """x.index_add(0, rows, residual), which itself would keep the residual for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, residual: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return x.index_add(0, rows, residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        (rows,) = ctx.saved_tensors
        return grad, None, grad.index_select(0, rows)
