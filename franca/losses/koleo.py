"""KoLeo loss: spread the features of a batch over the sphere.

Sablayrolles et al., https://arxiv.org/abs/1806.03198, as in DINOv2.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, pairwise_distance


def koleo_loss(features: Float[Tensor, "batch dim"], *, eps: float = 1e-6) -> Float[Tensor, ""]:
    """Return minus the mean log distance to the nearest neighbour on the unit sphere, in fp32.

    Its loop form:

        x = [feature / norm(feature) for feature in features]
        for i in range(batch):
            nearest = max((j for j in range(batch) if j != i), key=lambda j: dot(x[i], x[j]))
            loss -= log(norm(x[i] - x[nearest] + eps) + eps) / batch

    Args:
        features: CLS of one view of each image, after the final norm and before any head. Two views
            of one image in a batch would be pushed apart: give them one after the other. A batch of
            one has no neighbour and costs nothing.
        eps: smallest distance; bounds the gradient of duplicates by 1 / eps. The released code has
            1e-8, in half precision, where it is 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        x = normalize(features.float(), eps=eps)
        if len(x) < 2:
            return x.sum() * 0
        similarity = (x @ x.T).detach().fill_diagonal_(-torch.inf)
        distance = pairwise_distance(x, x[similarity.argmax(dim=1)], eps=eps)
        return -(distance + eps).log().mean()
