"""DINO loss: every student view predicts the teacher's assignment of every other global view."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from franca.losses.cross_entropy import Projected, soft_cross_entropy


@dataclass(frozen=True)
class DinoLoss:
    """The two terms; their sum is what is optimised."""

    local_crops: Float[Tensor, ""]
    global_crops: Float[Tensor, ""]


def dino_loss(
    *,
    global_crops: Sequence[Projected],
    local_crops: Sequence[Projected],
    targets: Sequence[Float[Tensor, "2 batch _"]],
    level_weights: Sequence[float],
    temperature: float = 0.1,
    max_logits: int | None = None,
) -> DinoLoss:
    """Average the cross-entropy over the pairs (student view, other teacher view), per level.

    Its loop form (Franca's `ssl_meta_arch.py`, with both terms over the same number of pairs):

        pairs = 2 * num_local_crops + 2
        for level in levels:
            for student_view in local_views + global_views:
                for teacher_view in global_views:
                    if student_view is not teacher_view:
                        for i in range(batch):
                            ce = cross_entropy(targets[teacher_view][i], student[student_view][i])
                            loss += level_weights[level] * ce / (batch * pairs)

    Args:
        global_crops: student of the two global crops, per level; 2·batch rows, view by view.
        local_crops: student of the local crops, per level; any number of views of `batch` rows.
        targets: of the two global crops, per level, in the order of `global_crops`.
        level_weights: see `franca.losses.cross_entropy.level_weights`.
        temperature: of the student.
        max_logits: see `soft_cross_entropy`.
    """
    local_terms: list[Tensor] = []
    global_terms: list[Tensor] = []
    for local, both, target, weight in zip(
        local_crops, global_crops, targets, level_weights, strict=True
    ):
        batch = target.shape[1]
        num_pairs = 2 * (len(local[0]) // batch) + 2
        for terms, projected, rows in [
            # Cross-entropy is linear in its target: one with the sum of two is the sum of two.
            (local_terms, local, target.sum(dim=0)),
            (global_terms, both, target.flip(0).flatten(0, 1)),
        ]:
            row_weights = rows.new_full((len(projected[0]),), weight / (batch * num_pairs))
            terms.append(
                soft_cross_entropy(
                    projected,
                    rows,
                    row_weights=row_weights,
                    temperature=temperature,
                    max_logits=max_logits,
                )
            )
    return DinoLoss(
        local_crops=torch.stack(local_terms).sum(), global_crops=torch.stack(global_terms).sum()
    )
