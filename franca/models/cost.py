"""What a backbone costs, by arithmetic: parameters, operations, and what is kept for gradients.

Nothing here imports torch, so that `franca plan` answers at once. Operations are those of matrix
products and convolutions, a multiply-add being two, as torch's `FlopCounterMode` counts them;
norms, activations, softmax and sums are left out.
"""

from typing import Literal

from franca.models.archs import Arch, swiglu_hidden

_BYTES = {"fp32": 4, "bf16": 2}


def num_patches(arch: Arch, *, image_size: int) -> int:
    """Return the patches of an image of so many pixels a side."""
    side = image_size // arch.patch_size
    return side * side


def num_tokens(arch: Arch, *, image_size: int, registers: int) -> int:
    """Return the tokens of an image: CLS, registers and patches."""
    return 1 + registers + num_patches(arch, image_size=image_size)


def backbone_parameters(arch: Arch, *, registers: int) -> int:
    """Return the number of parameters; the position grid is that of `arch.image_size`."""
    width = arch.width
    attention = 4 * (width * width + width)
    # The output matrix has a bias of `width`; norms have two vectors, LayerScales one.
    block = attention + _ffn_products(arch) + _ffn_hidden_outputs(arch) + width + 6 * width
    positions = 1 + num_patches(arch, image_size=arch.image_size)
    cls_and_mask = 2
    tokens = (positions + cls_and_mask + registers) * width
    patch_embed = (3 * arch.patch_size**2 + 1) * width
    return arch.depth * block + tokens + patch_embed + 2 * width


def block_flops(arch: Arch, *, tokens: int) -> int:
    """Return the operations of all blocks on one sequence of tokens, forward."""
    linear = 4 * arch.width**2 + _ffn_products(arch)
    attention = 2 * tokens * arch.width
    return 2 * arch.depth * tokens * (linear + attention)


def output_flops(arch: Arch, *, tokens: float) -> float:
    """Return the operations of one block after attention, forward: projection and feed-forward."""
    return 2 * tokens * (arch.width**2 + _ffn_products(arch))


def patch_flops(arch: Arch, *, image_size: int) -> int:
    """Return the operations of the patch embedding of one image, forward."""
    return 2 * num_patches(arch, image_size=image_size) * 3 * arch.patch_size**2 * arch.width


def kept_bytes_per_token(
    arch: Arch, *, precision: Literal["fp32", "bf16"], drop_path: float
) -> float:
    """Return the bytes kept for the backward pass per token, without recomputing.

    Of each block: the inputs of two norms (the residual stream, always fp32); their outputs,
    queries, keys and values, what attention returns and its copy that is projected, and the outputs
    of both branches, in all 9 times the width; and the hidden layer with what the gate makes of it.
    Attention keeps no scores. Stochastic depth keeps fewer rows. Last the input of the final norm.
    The last block is counted like the others; see `spared_bytes_per_token`.
    tests/franca/models/test_cost.py compares with autograd's saved tensors.
    """
    size = _BYTES[precision]
    block = 2 * _BYTES["fp32"] * arch.width + size * (9 * arch.width + _kept_hidden(arch))
    return arch.depth * (1 - drop_path) * block + _BYTES["fp32"] * arch.width


def spared_bytes_per_token(arch: Arch, *, precision: Literal["fp32", "bf16"]) -> int:
    """Return the bytes that the last block does not keep of a token whose output is not read.

    What is projected, both branches' outputs, the second norm's input and output, the hidden layer.
    """
    size = _BYTES[precision]
    return _BYTES["fp32"] * arch.width + size * (4 * arch.width + _kept_hidden(arch))


def _kept_hidden(arch: Arch) -> int:
    """Numbers kept of a feed-forward: gate, value, silu(gate) * value; before and after GELU."""
    return 3 * swiglu_hidden(arch.width) if arch.ffn == "swiglu" else 8 * arch.width


def _ffn_products(arch: Arch) -> int:
    """Multiply-adds of a feed-forward per token, which are also its weights."""
    if arch.ffn == "swiglu":
        return 3 * arch.width * swiglu_hidden(arch.width)
    return 8 * arch.width**2


def _ffn_hidden_outputs(arch: Arch) -> int:
    """Outputs of a feed-forward's first matrix, which are also its biases."""
    return 2 * swiglu_hidden(arch.width) if arch.ffn == "swiglu" else 4 * arch.width
