"""The peer of `step.py` made of lightly's building blocks, for one level of prototypes."""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compat.torchvision_shim import ensure_torchvision
from franca.config.pretrain import Head, Recipe
from franca.models.archs import ARCHS, swiglu_hidden
from franca.ssl.student_teacher import Views
from franca.train.precision import autocast, training_device


class Lightly:
    """A DINOv2 update of lightly's parts, put together as its example does.

    timm's backbone, centring instead of Sinkhorn-Knopp. On a CPU in bf16 timm's attention of two
    products is chosen, which is the faster there.
    """

    def __init__(self, recipe: Recipe) -> None:
        ensure_torchvision()
        from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss

        device = training_device()
        self.recipe = recipe
        self.student, self.teacher = (_networks(recipe).to(device) for _ in range(2))
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.dino = DINOLoss(recipe.dino_head.num_prototypes).to(device)
        self.ibot = IBOTPatchLoss(recipe.ibot_head.num_prototypes).to(device)
        self.koleo = KoLeoLoss()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-4)
        self.precision = functools.partial(autocast, device, precision=recipe.run.precision)

    def loss(self, views: Views) -> Tensor:
        """See `step_forms.Form`; stochastic depth is part of it here."""
        objective, masks = self.recipe.objective, views.masks
        temperature = self.recipe.schedule.teacher_temperature[0]
        side = int(masks.shape[1] ** 0.5)
        with self.precision():
            with torch.no_grad():
                backbone, dino_head, ibot_head = parts_of(self.teacher)
                tokens = backbone.encode(views.global_crops)
                cls_targets = dino_head(tokens[:, 0]).chunk(2)
                patch_targets = ibot_head(tokens[:, 1:][masks])
            backbone, dino_head, ibot_head = parts_of(self.student)
            tokens = backbone.encode(views.global_crops, mask=F.pad(masks, (1, 0)))
            local = backbone.encode(views.local_crops)
            seen = [
                *dino_head(tokens[:, 0]).chunk(2),
                *dino_head(local[:, 0]).chunk(self.recipe.augment.local_crops.count),
            ]
            dino = self.dino([*cls_targets], seen, teacher_temp=temperature)
            ibot = self.ibot(
                patch_targets,
                ibot_head(tokens[:, 1:][masks]),
                masks.unflatten(1, (side, side)),
                teacher_temp=temperature,
            )
            koleo = sum(self.koleo(view) for view in tokens[:, 0].chunk(2))
        total: Tensor = (
            objective.dino_weight * dino
            + objective.ibot_weight * ibot
            + objective.koleo_weight * koleo
        )
        return total

    def step(self, views: Views, _: int) -> None:
        """See `step_forms.Form`."""
        from lightly.models.utils import update_momentum

        self.optimizer.zero_grad()
        self.loss(views).backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), self.recipe.optimizer.clip_norm)
        self.optimizer.step()
        update_momentum(self.student, self.teacher, m=self.recipe.schedule.momentum[0])


def parts_of(networks: nn.ModuleList) -> tuple[Any, Any, Any]:
    """Return backbone, DINO head and iBOT head; lightly has no types."""
    backbone, dino_head, ibot_head = networks
    return backbone, dino_head, ibot_head


def _networks(recipe: Recipe) -> nn.ModuleList:
    """Return backbone, DINO head and iBOT head."""
    import timm.layers
    from lightly.models.modules import MaskedVisionTransformerTIMM
    from timm.models.vision_transformer import VisionTransformer

    timm.layers.set_fused_attn(recipe.run.precision == "fp32" or torch.cuda.is_available())
    arch = ARCHS[recipe.model.arch]
    vit = VisionTransformer(
        img_size=recipe.augment.global_crops.size,
        patch_size=arch.patch_size,
        embed_dim=arch.width,
        depth=arch.depth,
        num_heads=arch.heads,
        mlp_ratio=2 * swiglu_hidden(arch.width) / arch.width,
        mlp_layer=timm.layers.SwiGLUPacked,
        init_values=recipe.model.layer_scale,
        num_classes=0,
        dynamic_img_size=True,
    )
    for block in vit.blocks:  # the same rate in every block, as DINOv2
        block.drop_path1 = timm.layers.DropPath(recipe.model.drop_path)
        block.drop_path2 = timm.layers.DropPath(recipe.model.drop_path)
    heads = [_head(section, width=arch.width) for section in (recipe.dino_head, recipe.ibot_head)]
    return nn.ModuleList([MaskedVisionTransformerTIMM(vit=vit), *heads])


def _head(section: Head, *, width: int) -> Any:
    from lightly.models.modules.heads import DINOv2ProjectionHead

    return DINOv2ProjectionHead(
        width, section.hidden_dim, section.bottleneck_dim, section.num_prototypes
    )
