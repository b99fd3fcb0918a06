"""One update: gradients of a batch, perhaps in parts, then optimiser and teacher."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from franca.models.stochastic_depth import DepthSource
from franca.ssl.ema import update_teacher
from franca.ssl.student_teacher import Losses, StudentTeacher, Views
from franca.train.optim import apply_settings, clip_gradients
from franca.train.schedules import StepSettings


@dataclass(frozen=True, kw_only=True)
class Part:
    """Images that the student sees at once.

    Attributes:
        views: their crops and masks.
        depth: what their stochastic depth draws from.
    """

    views: Views
    depth: DepthSource


def make_gradients(
    method: StudentTeacher,
    parts: Sequence[Part],
    *,
    teacher_temperature: float,
    precision: Callable[[], AbstractContextManager[None]],
) -> Losses:
    """Set the gradients of the mean over equally large parts; return its losses.

    The teacher sees all parts before the student sees the first, so that the number of parts does
    not matter.

    Args:
        method: its gradients are replaced.
        parts: of the share of the batch that this process has.
        teacher_temperature: sharpness of the targets.
        precision: makes the context of the forward passes.
    """
    method.student.zero_grad(set_to_none=True)
    with precision():
        targets = method.teacher_targets(
            [part.views for part in parts], temperature=teacher_temperature
        )
    seen: list[Losses] = []
    for part, target in zip(parts, targets, strict=True):
        with precision():
            outputs = method.student_outputs(part.views, depth=part.depth)
            losses = method.losses(outputs, target, part.views)
        (losses.total / len(parts)).backward()
        seen.append(Losses(total=losses.total.detach(), terms=losses.terms))
    return Losses(
        total=torch.stack([losses.total for losses in seen]).mean(),
        terms={
            name: torch.stack([losses.terms[name] for losses in seen]).mean()
            for name in seen[0].terms
        },
    )


def update(
    method: StudentTeacher,
    optimizer: torch.optim.Optimizer,
    settings: StepSettings,
    *,
    clip_norm: float,
    norm_of_all: Callable[[Tensor], Tensor] = lambda norms: norms,
) -> dict[str, Tensor]:
    """Clip the gradients, AdamW, teacher; return the gradient norms before clipping.

    Args:
        method: with gradients.
        optimizer: of the student.
        settings: of this update.
        clip_norm: of each part of the student.
        norm_of_all: see `franca.train.optim.clip_gradients`.
    """
    norms = clip_gradients(method.student_parts, max_norm=clip_norm, norm_of_all=norm_of_all)
    apply_settings(optimizer, settings)
    optimizer.step()
    update_teacher(method.teacher, method.student, momentum=settings.momentum)
    return norms
