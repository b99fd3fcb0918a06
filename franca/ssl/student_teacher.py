"""The objective, split by actor: teacher targets, student outputs, and the weighted sum of losses.

Legend: B images, 2B global and nB local crops, D features, M masked patches of the whole batch.
Crops are stored view by view: the first crop of every image, then the second crop of every image.
Lists have one entry per Matryoshka level, coarse to fine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from franca.data.augment_device import coloured
from franca.data.collate import MultiCropBatch, normalise
from franca.heads.matryoshka import MatryoshkaHead
from franca.heads.projection import Projection
from franca.losses.cross_entropy import Projected
from franca.losses.dino import dino_loss
from franca.losses.ibot import ibot_loss
from franca.losses.koleo import koleo_loss
from franca.losses.sinkhorn import sinkhorn_knopp
from franca.masking.batch import BatchMasks
from franca.models.stochastic_depth import DepthSource
from franca.models.transfer import send
from franca.models.vit import VisionTransformer


class Networks(nn.Module):
    """A backbone and its two stacks of heads; the student is one, the teacher another."""

    def __init__(
        self,
        *,
        backbone: VisionTransformer,
        dino_head: MatryoshkaHead,
        ibot_head: MatryoshkaHead,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dino_head = dino_head
        self.ibot_head = ibot_head


Balancer = Callable[..., list[Tensor]]
"""`SinkhornBalancer` or `SoftmaxCentering`: (logits, temperature=, group=) to targets."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """What one update looks at, ready for the networks.

    Attributes:
        global_crops: ImageNet-normalised, like the local ones.
        masks: True where the student does not see a patch of a global crop.
        masked: indices of those patches in the flattened masks.
        token_weights: 1 / number of masked patches of the crop, for each of `masked`.
        num_surplus: rows of zeros that the teacher balances beside the masked patches; see
            `franca.masking.batch.sample_masks`.
    """

    global_crops: Float[Tensor, "globals 3 size size"]
    local_crops: Float[Tensor, "locals 3 local_size local_size"]
    masks: Bool[Tensor, "globals patches"]
    masked: Int[Tensor, " masked"]
    token_weights: Float[Tensor, " masked"]
    num_surplus: int = 0


def make_views(batch: MultiCropBatch, masks: BatchMasks, *, device: torch.device) -> Views:
    """Move a batch of 8-bit crops and its masks to the device, and normalise the crops there."""
    on_device = coloured(batch.to(device))
    return Views(
        global_crops=normalise(on_device.global_crops),
        local_crops=normalise(on_device.local_crops),
        masks=send(masks.masks, device),
        masked=send(masks.indices, device),
        token_weights=send(masks.token_weights, device),
        num_surplus=masks.num_surplus,
    )


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the teacher says: probabilities over the prototypes of each level."""

    cls: list[Float[Tensor, "2 batch _"]]
    patches: list[Float[Tensor, "masked _"]]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What the student says: embeddings and prototypes of each level, and its features."""

    global_crops: list[Projected]
    local_crops: list[Projected]
    masked_patches: list[Projected]
    global_cls: Float[Tensor, "2 batch dim"]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the terms, and of the levels within the clustering terms."""

    dino: float
    ibot: float
    koleo: float
    levels: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The minimised sum, and its unweighted terms for the log."""

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class StudentTeacher(nn.Module):
    """Self-distillation with nested clusters: DINO on cls tokens, iBOT on masked patches, KoLeo.

    Args:
        student: trained by gradient.
        teacher: same shapes; the student's moving average, see `franca.ssl.ema`.
        weights: of the terms.
        student_temperature: softmax temperature of the student.
        balance: makes targets of the teacher's logits: of cls tokens, then of patches.
        koleo_group: images among which KoLeo looks for neighbours; None means the whole batch.
        group: processes that share the batch; None means this process alone.
    """

    def __init__(
        self,
        *,
        student: Networks,
        teacher: Networks,
        weights: Weights,
        student_temperature: float,
        balance: Balancer,
        koleo_group: int | None = None,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        # In training mode, like the student: BatchNorm of its heads normalises over the teacher's
        # own batch. Stochastic depth is the student's alone: the teacher is given no `depth`.
        self.teacher = teacher.requires_grad_(False)
        self.weights = weights
        self.student_temperature = student_temperature
        self.balance = balance
        self.koleo_group = koleo_group
        self.group = group

    @property
    def student_parts(self) -> dict[str, nn.Module]:
        """The submodules whose gradients are clipped one by one."""
        return dict(self.student.named_children())

    def set_image_size(self, image_size: int) -> None:
        """Interpolate the position embeddings of both backbones for another size, in pixels."""
        for networks in (self.student, self.teacher):
            networks.backbone.set_image_size(image_size)
        self.teacher.requires_grad_(False)

    def forward(
        self, views: Views, *, teacher_temperature: float, depth: DepthSource | None
    ) -> Losses:
        """Return the losses of one batch.

        Args:
            views: crops and masks.
            teacher_temperature: sharpness of the targets.
            depth: what the student's stochastic depth draws from.
        """
        (targets,) = self.teacher_targets([views], temperature=teacher_temperature)
        return self.losses(self.student_outputs(views, depth=depth), targets, views)

    @torch.no_grad()
    def teacher_targets(self, parts: Sequence[Views], *, temperature: float) -> list[Targets]:
        """Cluster what the teacher sees: whole global crops, their masked patches, no others.

        The parts of a batch are balanced together, so that it does not matter how it is dealt out;
        all their targets are held at once.
        """
        logits = [self._teacher_logits(views) for views in parts]
        pooled = [
            torch.cat(rows) if len(rows) > 1 else rows[0] for rows in zip(*logits, strict=True)
        ]
        with in_fp32(pooled[0]):
            balanced = self.balance(pooled, temperature=temperature, group=self.group)
        per_part = zip(
            *(
                level.split([len(rows[index]) for rows in logits])
                for index, level in enumerate(balanced)
            ),
            strict=True,
        )
        num_cls = len(self.teacher.dino_head.num_prototypes)
        return [
            Targets(
                cls=[level.unflatten(0, (2, -1)) for level in levels[:num_cls]],
                patches=[level[: len(views.masked)] for level in levels[num_cls:]],
            )
            for levels, views in zip(per_part, parts, strict=True)
        ]

    def _teacher_logits(self, views: Views) -> list[Float[Tensor, "rows _"]]:
        """Return the logits of every level of the cls tokens, then masked patches, surplus."""
        features = self.teacher.backbone.forward_multicrop(
            [views.global_crops], patches=views.masked
        )
        cls = self.teacher.dino_head(features.cls[0])
        masked = self.teacher.ibot_head(pad(features.patches, (0, 0, 0, views.num_surplus)))
        return _logits([*cls, *masked])

    def student_outputs(self, views: Views, *, depth: DepthSource | None) -> Outputs:
        """Embed what the student sees: masked global crops and local crops."""
        features = self.student.backbone.forward_multicrop(
            [views.global_crops, views.local_crops],
            patches=views.masked,
            masks=views.masks,
            depth=depth,
        )
        whole, parts = features.cls
        num_global = len(whole)
        # One call for all views: BatchNorm, where a head has it, sees them together.
        cls = self.student.dino_head(torch.cat([whole, parts]))
        return Outputs(
            global_crops=[(rows[:num_global], prototypes) for rows, prototypes in cls],
            local_crops=[(rows[num_global:], prototypes) for rows, prototypes in cls],
            masked_patches=self.student.ibot_head(features.patches),
            global_cls=whole.float().unflatten(0, (2, -1)),
        )

    def losses(self, outputs: Outputs, targets: Targets, views: Views) -> Losses:
        """Weigh and add the terms.

        Each is a mean over the images at hand: those of equal parts have the mean of the parts.
        """
        weights = self.weights
        with in_fp32(outputs.global_cls):
            dino = dino_loss(
                global_crops=outputs.global_crops,
                local_crops=outputs.local_crops,
                targets=targets.cls,
                level_weights=weights.levels,
                temperature=self.student_temperature,
            )
            ibot = ibot_loss(
                masked_patches=outputs.masked_patches,
                targets=targets.patches,
                token_weights=views.token_weights,
                num_crops=len(views.global_crops),
                level_weights=weights.levels,
                temperature=self.student_temperature,
            )
            # One view at a time: two views of an image are not to be pushed apart.
            first, second = (
                koleo_loss(cls, group_size=self.koleo_group, processes=self.group)
                for cls in outputs.global_cls
            )
            koleo = first + second
            total = (
                weights.dino * dino.global_crops
                + weights.dino * dino.local_crops
                + weights.ibot * ibot
                + weights.koleo * koleo
            )
        terms = {
            "dino_global": dino.global_crops,
            "dino_local": dino.local_crops,
            "ibot": ibot,
            "koleo": koleo,
        }
        return Losses(total=total, terms={name: term.detach() for name, term in terms.items()})


class SinkhornBalancer(nn.Module):
    """Sinkhorn-Knopp of each matrix, without state."""

    def __init__(self, *, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def forward(
        self,
        logits: Sequence[Float[Tensor, "_ _"]],
        *,
        temperature: float,
        group: dist.ProcessGroup | None = None,
    ) -> list[Float[Tensor, "_ _"]]:
        """Return balanced targets; every row sums to one."""
        return sinkhorn_knopp(
            logits, temperature=temperature, iterations=self.iterations, group=group
        )


def in_fp32(like: Tensor) -> torch.autocast:
    """Return the context in which heads, Sinkhorn-Knopp and losses run."""
    return torch.autocast(like.device.type, enabled=False)


def _logits(projected: Sequence[Projection]) -> list[Float[Tensor, "rows _"]]:
    return [level.logits() for level in projected]
