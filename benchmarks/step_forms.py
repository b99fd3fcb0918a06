"""What `step.py` measures: our update, and the same as one would first write it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from franca.config.pretrain import Recipe
from franca.data.collate import MultiCropBatch
from franca.heads.matryoshka import MatryoshkaHead
from franca.masking.batch import count_bounds
from franca.models.layers import Block, SwiGLU, attend
from franca.models.stochastic_depth import DepthSource
from franca.models.vit import VisionTransformer
from franca.randomness import generator
from franca.ssl.student_teacher import Losses, Networks, StudentTeacher, Views, make_views
from franca.train.build import (
    build_backbone,
    build_masks,
    build_method,
    build_schedules,
    build_student_optimizer,
    place,
)
from franca.train.distributed import World
from franca.train.machine import keep_freed_memory
from franca.train.precision import autocast, training_device
from franca.train.step import Part, make_gradients, update
from workflow.params import read, resolve

PARAMETERS = Path(__file__).resolve().parent.parent / "params.yaml"
SEED = 0


class Form(Protocol):
    """A way to train: its loss without stochastic depth, and its update with it."""

    def loss(self, views: Views) -> Tensor:
        """Return the loss before the first update, with a graph."""

    def step(self, views: Views, number: int, /) -> None:
        """Make one update."""


def build_recipe(*settings: str) -> Recipe:
    """Return the recipe of the paper's ViT-B with some of its numbers replaced."""
    tree = read(PARAMETERS)
    dotted = [f"pretrain.{setting}" for setting in settings]
    parameters: Any = resolve(tree, scale="vit_b_in21k", variant="franca", settings=dotted)
    recipe: Recipe = parameters.pretrain
    return recipe


def draw_views(recipe: Recipe, number: int) -> Views:
    """Return a batch of noise with its masks."""
    draw = generator(SEED, "benchmark batch", number)
    count, augment = recipe.global_batch_size, recipe.augment

    def crops(views: int, size: int) -> Tensor:
        shape = (views * count, 3, size, size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)

    batch = MultiCropBatch(
        global_crops=crops(2, augment.global_crops.size),
        local_crops=crops(augment.local_crops.count, augment.local_crops.size),
        keys=tuple(str(index) for index in range(count)),
    )
    masks = build_masks(recipe, seed=SEED)(number, range(recipe.global_batch_size))
    return make_views(batch, masks, device=training_device())


def build(recipe: Recipe) -> StudentTeacher:
    """Return student and teacher before the first update."""
    backbone = build_backbone(recipe, image_size=recipe.augment.global_crops.size, seed=SEED)
    return build_method(recipe, backbone=backbone, seed=SEED)


class Ours:
    """`franca.train.step`, as the training loop calls it: `franca.train.machine` is heard too."""

    def __init__(self, recipe: Recipe) -> None:
        self.device = training_device()
        if self.device.type == "cpu":
            keep_freed_memory()
        self.recipe, self.method = recipe, build(recipe)
        place(self.method, recipe, World(device=self.device))
        self.optimizer = build_student_optimizer(recipe, self.method)
        self.schedules = build_schedules(recipe)
        self.precision = functools.partial(autocast, self.device, precision=recipe.run.precision)

    def loss(self, views: Views) -> Tensor:
        """See `Form`."""
        temperature = self.schedules.at(0).teacher_temperature
        with self.precision():
            losses: Losses = self.method(views, teacher_temperature=temperature, depth=None)
        return losses.total

    def step(self, views: Views, number: int) -> None:
        """See `Form`."""
        count = self.recipe.global_batch_size
        settings = self.schedules.at(self.schedules.frozen_last_layer + number)
        depth = DepthSource(
            generator=functools.partial(generator, SEED, "stochastic depth", number),
            group_size=count,
            images=range(count),
        )
        make_gradients(
            self.method,
            [Part(views=views, depth=depth)],
            teacher_temperature=settings.teacher_temperature,
            precision=self.precision,
        )
        update(self.method, self.optimizer, settings, clip_norm=self.recipe.optimizer.clip_norm)


class Plain:
    """The same update as one would first write it.

    One forward pass per crop size, all tokens through all layers; stochastic depth as timm's, which
    computes every branch and multiplies some by 0; heads on the masked patches, padded to the most
    there can be, as DINOv2; all logits at once, under autocast too; weight norm of torch's kind;
    Sinkhorn-Knopp on a matrix of exponentials that is rewritten; a log-softmax per pair of views;
    AdamW and clipping with torch's defaults; the moving average parameter by parameter. Attention
    is that of our models, because torch's own in bf16 is several times slower on a CPU.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        method = build(recipe)
        self.student, self.teacher = method.student, method.teacher
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-4)
        self.precision = functools.partial(
            autocast, training_device(), precision=recipe.run.precision
        )

    def loss(self, views: Views) -> Tensor:
        """See `Form`."""
        return self._loss(views, drop_path=0.0)

    def step(self, views: Views, _: int) -> None:
        """See `Form`."""
        self.optimizer.zero_grad()
        self._loss(views, drop_path=self.recipe.model.drop_path).backward()
        for part in self.student.children():
            nn.utils.clip_grad_norm_(part.parameters(), self.recipe.optimizer.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(self.teacher.parameters(), self.student.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.mul_(0.994).add_(theirs, alpha=0.006)

    def _loss(self, views: Views, *, drop_path: float) -> Tensor:
        objective = self.recipe.objective
        with self.precision():
            with torch.no_grad():
                cls_targets, patch_targets = self._targets(views)
            masks = views.masks
            tokens = _tokens(self.student.backbone, views.global_crops, masks, drop_path)
            local = _tokens(self.student.backbone, views.local_crops, None, drop_path)
            cls = [*tokens[:, 0].chunk(2)]
            dino = _dino(
                [_logits(self.student.dino_head, view) for view in tokens[:, 0].chunk(2)],
                [
                    _logits(self.student.dino_head, view)
                    for view in local[:, 0].chunk(self.recipe.augment.local_crops.count)
                ],
                cls_targets,
                temperature=objective.student_temperature,
            )
            masked = self._masked_logits(self.student, tokens, views)
            ibot = sum(
                -(target * F.log_softmax(logits / objective.student_temperature, dim=1))
                .sum(dim=1)
                .mul(views.token_weights)
                .sum()
                / len(masks)
                for logits, target in zip(masked, patch_targets, strict=True)
            )
        koleo = sum(_koleo(view.float()) for view in cls)
        return (
            objective.dino_weight * dino
            + objective.ibot_weight * ibot
            + objective.koleo_weight * koleo
        )

    def _targets(self, views: Views) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Return the targets of each global view, level by level, and those of the patches."""
        tokens = _tokens(self.teacher.backbone, views.global_crops, None, 0.0)
        balance = functools.partial(
            _sinkhorn,
            temperature=self.recipe.schedule.teacher_temperature[0],
            iterations=self.recipe.objective.sinkhorn_iterations,
        )
        cls = [balance(logits) for logits in _logits(self.teacher.dino_head, tokens[:, 0])]
        masked = [balance(logits) for logits in self._masked_logits(self.teacher, tokens, views)]
        return [[*views] for views in zip(*(level.chunk(2) for level in cls), strict=True)], masked

    def _masked_logits(self, networks: Networks, tokens: Tensor, views: Views) -> list[Tensor]:
        """Return the logits of the masked patches of every level."""
        masking = self.recipe.masking
        bounds = count_bounds(
            num_crops=len(views.masks),
            num_patches=views.masks.shape[1],
            probability=masking.probability,
            ratio=masking.ratio,
        )
        patches = tokens[:, 1:].flatten(0, 1)[views.masked]
        padded = F.pad(patches, (0, 0, 0, int(bounds[:, 1].sum()) - len(patches)))
        return [logits[: len(patches)] for logits in _logits(networks.ibot_head, padded)]


def _tokens(
    backbone: VisionTransformer, images: Tensor, masks: Tensor | None, drop_path: float
) -> Tensor:
    """Return CLS and patches of images of one size after the final norm."""
    patches = backbone.patch_embed(images)
    if masks is not None:
        patches = torch.where(masks[:, :, None], backbone.mask_token.to(patches.dtype), patches)
    side = images.shape[-1] // backbone.patch_size
    cls = backbone.cls_token.expand(len(images), -1, -1)
    x = torch.cat([cls, patches], dim=1) + backbone.positions((side, side))
    for block in backbone.blocks:
        assert isinstance(block, Block)
        x = _residual(x, functools.partial(_attention, block), drop_path)
        x = _residual(x, functools.partial(_feed_forward, block), drop_path)
    tokens: Tensor = backbone.norm(x)
    return tokens


def _residual(x: Tensor, branch: Callable[[Tensor], Tensor], drop_path: float) -> Tensor:
    """Add a branch to a random part of the sequences."""
    if not drop_path:
        return x + branch(x)
    kept = torch.rand(len(x), 1, 1, device=x.device) >= drop_path
    return x + branch(x) * (kept / (1 - drop_path))


def _attention(block: Block, x: Tensor) -> Tensor:
    batch, tokens, width = x.shape
    qkv = block.attn.qkv(block.norm1(x)).reshape(batch, tokens, 3, block.attn.heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    mixed = attend(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
    branch: Tensor = block.attn.proj(mixed) * block.ls1.gamma
    return branch


def _feed_forward(block: Block, x: Tensor) -> Tensor:
    assert isinstance(block.mlp, SwiGLU)
    gate, value = block.mlp.w12(block.norm2(x)).chunk(2, dim=-1)
    branch: Tensor = block.mlp.w3(F.silu(gate) * value) * block.ls2.gamma
    return branch


def _logits(heads: MatryoshkaHead, features: Tensor) -> list[Tensor]:
    """Return the logits of every level."""
    logits = []
    for index, head in enumerate(heads.levels):
        own: Any = head
        if heads.projections is None:
            x = own.mlp(features[:, : heads.widths[index]])
        else:
            x = own.mlp(heads.projections[index](features))
        if own.normalization == "dinov2":
            x = F.normalize(x, dim=1)
        last = own.last_layer
        weight = torch._weight_norm(last.weight_v, last.weight_g, 0)  # noqa: SLF001  torch's own
        logits.append(F.linear(x, weight))
    return logits


def _sinkhorn(logits: Tensor, *, temperature: float, iterations: int) -> Tensor:
    q = torch.exp(logits.float() / temperature).T
    prototypes, rows = q.shape
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / prototypes
        q = q / q.sum(dim=0, keepdim=True) / rows
    return (q * rows).T


def _dino(
    whole: list[list[Tensor]],
    parts: list[list[Tensor]],
    targets: list[list[Tensor]],
    *,
    temperature: float,
) -> Tensor:
    """Average over the pairs of a student view and another teacher view; sum over the levels."""
    pairs = [(view, target) for view in parts for target in targets]
    pairs += [(whole[0], targets[1]), (whole[1], targets[0])]
    terms = [
        -(rows * F.log_softmax(logits / temperature, dim=1)).sum(dim=1).mean()
        for view, target in pairs
        for logits, rows in zip(view, target, strict=True)
    ]
    return torch.stack(terms).sum() / len(pairs)


def _koleo(features: Tensor) -> Tensor:
    x = F.normalize(features, dim=1)
    similarity = (x @ x.T).detach()
    similarity.fill_diagonal_(-1)
    distance = F.pairwise_distance(x, x[similarity.argmax(dim=1)], eps=1e-6)
    return -(distance + 1e-6).log().mean()
