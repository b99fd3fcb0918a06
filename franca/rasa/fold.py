"""Exact places for the map: the final norm's affine (patch tokens only), or a linear consumer.

With z = gamma * n + beta, n the normalised residual stream, z' = z L + c becomes n (diag(gamma) L)
+ (beta L + c). docs/rasa.md says why the last block's own weights are no such place.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from franca.models.vit import Features, VisionTransformer
from franca.rasa.linear_map import LinearMap


class FoldedBackbone(nn.Module):
    """A backbone whose final norm has a dense affine for patch tokens.

    CLS and registers keep the norm's own affine: the map is fitted on patches, and classification
    must not move. Costs 2 D^2 operations a patch and D^2 + D parameters.

    Args:
        model: is not changed, and shares its weights.
        linear_map: fitted on this model's patches.

    Raises:
        ValueError: a map of another dimension.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, model: VisionTransformer, linear_map: LinearMap) -> None:
        super().__init__()
        _check_dim(model.embed_dim, linear_map)
        self.model = model
        self.embed_dim = model.embed_dim
        self.patch_size = model.patch_size
        L, norm = linear_map.matrix().cpu(), model.norm
        gamma, beta = norm.weight.detach().double().cpu(), norm.bias.detach().double().cpu()
        bias = beta @ L + linear_map.offset().cpu()
        self.register_buffer("weight", (gamma[:, None] * L).T.contiguous().to(norm.weight))
        self.register_buffer("bias", bias.to(norm.weight))

    def forward_features(self, images: Float[Tensor, "batch 3 height width"]) -> Features:
        """Return features whose patches lack the map's directions.

        Args:
            images: ImageNet-normalised; sides are multiples of the patch size.
        """
        (stream,) = self.model.forward_intermediate(images, 1, norm=False)
        norm = self.model.norm
        plain = F.layer_norm(stream.patches, norm.normalized_shape, eps=norm.eps)
        return dataclasses.replace(
            stream,
            cls=norm(stream.cls),
            registers=norm(stream.registers),
            patches=F.linear(plain, self.weight, self.bias),
        )


def fold_into_linear(linear: nn.Linear, linear_map: LinearMap) -> nn.Linear:
    """Return a layer with folded(z) = linear(z'): no cost at all, for linear consumers of patches.

    Raises:
        ValueError: a layer that takes another dimension.
    """
    _check_dim(linear.in_features, linear_map)
    W = linear.weight.detach().double().cpu()
    bias = W @ linear_map.offset()
    if linear.bias is not None:
        bias = bias + linear.bias.detach().double().cpu()
    folded = nn.Linear(linear.in_features, linear.out_features).to(linear.weight)
    with torch.no_grad():
        folded.weight.copy_(W @ linear_map.matrix().T)
        folded.bias.copy_(bias)
    return folded


def _check_dim(dim: int, linear_map: LinearMap) -> None:
    if dim != linear_map.dim:
        raise ValueError(
            f"the layer takes {dim} channels and the map {linear_map.dim}: "
            "use the map that was fitted on this backbone"
        )
