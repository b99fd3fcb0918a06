"""Copies to the device that computes, for which the process that prepares them does not wait."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device.

    What a GPU is given from ordinary memory it is given at once, after all that it was told before;
    from pinned memory it fetches it when its turn comes, and the process goes on.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
