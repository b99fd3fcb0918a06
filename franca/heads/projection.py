"""Projection head: a feature to its similarities with learnt prototypes."""

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from franca.heads.batch_norm import BatchNorm
from franca.models.products import multiply

Normalization = Literal["dinov2", "franca_release"]


class Projection(NamedTuple):
    """What a head makes of a batch: logits are embeddings @ prototypes.T.

    The losses take the two factors, so that they need not hold all logits at once.
    """

    embeddings: Float[Tensor, "rows bottleneck"]
    prototypes: Float[Tensor, "prototypes bottleneck"]

    def logits(self) -> Float[Tensor, "rows prototypes"]:
        """Return the product, in fp32, of factors that are as precise as the embeddings."""
        with torch.autocast(self.embeddings.device.type, enabled=False):
            return multiply(self.embeddings, self.prototypes.to(self.embeddings.dtype).T)


class Prototypes(nn.Module):
    """Weight-normalised prototypes: row k is g_k · v_k / ‖v_k‖, with g and v learnt.

    Written out because torch's weight norm recomputes behind a hook or a parametrisation; parameter
    names are those of the released heads.
    """

    def __init__(self, *, width: int, count: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(count, 1))
        self.weight_v = nn.Parameter(torch.empty(count, width))

    def forward(self) -> Float[Tensor, "prototypes bottleneck"]:
        """Return the normalised prototypes, in fp32."""
        directions = self.weight_v.float()
        scale = self.weight_g.float() / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
        prototypes: Tensor = directions * scale
        return prototypes


class ProjectionHead(nn.Module):
    """DINOv2's head: MLP, bottleneck, prototypes.

    MLP and embeddings follow autocast, as in DINOv2 and Franca; prototypes are fp32 until they are
    multiplied, and logits are fp32.

    Args:
        in_dim: width of the feature.
        hidden_dim: width of the MLP.
        bottleneck_dim: width of the embeddings and the prototypes.
        num_prototypes: number of prototypes.
        num_layers: linear layers of the MLP; 1 is a single linear map to the bottleneck.
        normalization: `dinov2` puts the embeddings on the unit sphere, so logits are bounded by the
            learnt lengths of the prototypes; `franca_release` passes them through a GELU and does
            not normalise, as the code that trained the released models: logits are unbounded.
        batch_norm: normalise each hidden layer over the batch, as DINO's `use_bn`. A guard against
            collapse for short trainings with small batches.
        generator: source of the initial weights; None takes torch's global one.
    """

    def __init__(
        self,
        *,
        in_dim: int,
        hidden_dim: int,
        bottleneck_dim: int,
        num_prototypes: int,
        num_layers: int = 3,
        normalization: Normalization = "dinov2",
        batch_norm: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.normalization = normalization
        widths = [in_dim] + [hidden_dim] * (num_layers - 1) + [bottleneck_dim]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            layers.append(nn.Linear(before, after))
            if index < num_layers:
                layers += [BatchNorm(after)] if batch_norm else []
                layers.append(nn.GELU())
        if normalization == "franca_release" and num_layers > 1:
            layers.append(nn.GELU())
        self.mlp = nn.Sequential(*layers)
        self.last_layer = Prototypes(width=bottleneck_dim, count=num_prototypes)
        if not self.last_layer.weight_v.is_meta:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the initial weights: truncated normal, σ 0.02; prototypes as torch's linear maps."""
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
                nn.init.zeros_(module.bias)
        directions = self.last_layer.weight_v
        bound = directions.shape[1] ** -0.5
        nn.init.uniform_(directions, -bound, bound, generator=generator)
        nn.init.ones_(self.last_layer.weight_g)

    def forward(
        self,
        features: Float[Tensor, "rows dim"],
        *,
        prototypes: Float[Tensor, "prototypes bottleneck"] | None = None,
    ) -> Projection:
        """Project features.

        Args:
            features: of the parameters' precision, or of any under autocast.
            prototypes: what `last_layer()` returned, to normalise them once for several batches.
        """
        embeddings = self.mlp(features)
        with torch.autocast(features.device.type, enabled=False):
            if self.normalization == "dinov2":
                embeddings = normalize(embeddings.float(), dim=1).to(embeddings.dtype)
            return Projection(embeddings, self.last_layer() if prototypes is None else prototypes)
