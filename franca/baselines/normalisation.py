"""From the constants that images were normalised with to those that a model was trained with."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.data.collate import IMAGENET_MEAN, IMAGENET_STD


class Renormalise(nn.Module):
    """Take ImageNet-normalised images to another mean and standard deviation per channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        ours = torch.tensor([IMAGENET_MEAN, IMAGENET_STD], dtype=torch.float64)
        theirs = torch.tensor([list(mean), list(std)], dtype=torch.float64)
        scale, shift = ours[1] / theirs[1], (ours[0] - theirs[0]) / theirs[1]
        self.register_buffer("scale", scale.float()[:, None, None])
        self.register_buffer("shift", shift.float()[:, None, None])

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Return the images as the model expects them."""
        return images * self.scale + self.shift
