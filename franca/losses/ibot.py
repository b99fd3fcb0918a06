"""iBOT loss: the student predicts the teacher's assignment of the patches it did not see.

Zhou et al., https://arxiv.org/abs/2111.07832; scaling of DINOv2 and Franca.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from franca.losses.cross_entropy import Projected, soft_cross_entropy


def ibot_loss(
    *,
    masked_patches: Sequence[Projected],
    targets: Sequence[Float[Tensor, "masked _"]],
    token_weights: Float[Tensor, " masked"],
    num_crops: int,
    level_weights: Sequence[float],
    temperature: float = 0.1,
    max_logits: int | None = None,
) -> Float[Tensor, ""]:
    """Sum the cross-entropy over masked patches, weighted so that every masked crop counts once.

    Its loop form (Franca's `mrl_ibot_patch_loss.py` times the factor 2 · 0.5 of its caller):

        for level in levels:
            for crop in global_crops:                 # masked or not
                for patch in masked_patches_of(crop):
                    ce = cross_entropy(targets[level][patch], student[level][patch])
                    loss += level_weights[level] * ce / (num_masked_of(crop) * num_crops)

    Args:
        masked_patches: student of the masked patches, per level.
        targets: teacher of the same patches, per level.
        token_weights: 1 / number of masked patches in the patch's crop.
        num_crops: all global crops of the batch, 2·batch, those without a mask included.
        level_weights: see `franca.losses.cross_entropy.level_weights`.
        temperature: of the student.
        max_logits: see `soft_cross_entropy`.
    """
    terms = [
        soft_cross_entropy(
            level,
            target,
            row_weights=token_weights * (weight / num_crops),
            temperature=temperature,
            max_logits=max_logits,
        )
        for level, target, weight in zip(masked_patches, targets, level_weights, strict=True)
    ]
    return torch.stack(terms).sum()
