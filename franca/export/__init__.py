"""Weights in formats that others load, each checked against the backbone's own features.

Nothing here is imported before it is needed: the command line reads this file without torch.
"""

from typing import Literal

FormatName = Literal["safetensors", "timm", "huggingface", "onnx"]
