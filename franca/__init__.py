"""The model, its training, its post-training and its evaluation.

import franca
backbone = franca.load("highres.safetensors", rasa="map.safetensors", dim=384)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from franca.api import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    """Import what needs torch on first use only: a dry run of the pipeline must not pay for it."""
    if name == "load":
        from franca.api import load

        return load
    raise AttributeError(f"module 'franca' has no attribute {name!r}")
