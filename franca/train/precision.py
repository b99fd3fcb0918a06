"""Arithmetic of the forward pass: fp32 throughout, or bf16 autocast of backbones and heads.

In bf16, products with prototypes have bf16 factors too. Their results, the logits, are fp32 in both
modes, and so are prototypes before they are multiplied, Sinkhorn-Knopp and losses (they switch
autocast off); parameters, gradients and the optimiser are always fp32.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def autocast(device: torch.device, *, precision: Precision) -> AbstractContextManager[None]:
    """Return the context in which the backbones run."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def training_device() -> torch.device:
    """Return the accelerator where there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
