"""From a recipe of the parameters to networks, optimiser and schedules."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from franca.config import pretrain as config
from franca.data.datasets import ImageSource
from franca.data.loader import build_batches
from franca.heads.matryoshka import MatryoshkaHead
from franca.losses.centering import SoftmaxCentering
from franca.losses.cross_entropy import level_weights
from franca.masking.batch import BatchMasks, Masker, join_groups, sample_masks
from franca.masking.block import BlockMask
from franca.masking.cyclic import CyclicMask
from franca.models.archs import ARCHS
from franca.models.vit import VisionTransformer, build_vit
from franca.randomness import generator, numpy_generator
from franca.ssl.student_teacher import (
    Balancer,
    Networks,
    SinkhornBalancer,
    StudentTeacher,
    Weights,
)
from franca.train.cost import step_cost
from franca.train.distributed import World, shard
from franca.train.interruption import StopRequest
from franca.train.loop import Masks, Training
from franca.train.machine import Machine, images_at_once, keep_freed_memory, read_machine
from franca.train.optim import build_optimizer
from franca.train.precision import training_device
from franca.train.quarantine import RecordingBatches, quarantine_file
from franca.train.schedules import Schedule, Schedules, scaled_learning_rate


def build_backbone(cfg: config.Recipe, *, image_size: int, seed: int) -> VisionTransformer:
    """Build the backbone with random weights; its position grid is that of `image_size` pixels."""
    return build_vit(
        cfg.model.arch,
        image_size=image_size,
        drop_path=cfg.model.drop_path,
        layer_scale=cfg.model.layer_scale,
        registers=cfg.model.registers,
        interpolation=cfg.model.interpolation,
        generator=generator(seed, "initial backbone"),
    )


def build_method(cfg: config.Recipe, *, backbone: VisionTransformer, seed: int) -> StudentTeacher:
    """Build student and teacher around a backbone; both start from it and from the same heads."""
    student = Networks(
        backbone=backbone,
        dino_head=_head(cfg.dino_head, dim=backbone.embed_dim, seed=seed, purpose="dino head"),
        ibot_head=_head(cfg.ibot_head, dim=backbone.embed_dim, seed=seed, purpose="ibot head"),
    )
    objective = cfg.objective
    method = StudentTeacher(
        student=student,
        teacher=copy.deepcopy(student),
        weights=Weights(
            dino=objective.dino_weight,
            ibot=objective.ibot_weight,
            koleo=objective.koleo_weight,
            levels=level_weights(
                len(cfg.dino_head.levels),
                weights=objective.level_weights,
                reduction=objective.level_reduction,
            ),
        ),
        student_temperature=objective.student_temperature,
        balance=_balancer(objective, student),
        koleo_group=cfg.images_per_group,
    )
    return method.to(training_device())


def place(
    method: StudentTeacher, cfg: config.Recipe, world: World, *, machine: Machine | None = None
) -> None:
    """Make `method` ready for a machine: shards on every process, or all of it on the one.

    Args:
        method: student and teacher as they were built.
        cfg: their recipe.
        world: the processes.
        machine: None means this one, see `franca.train.machine`.
    """
    machine = machine or read_machine()
    method.student.backbone.recompute = machine.recompute
    shard(method, world, precision=cfg.run.precision)
    if machine.compiled:
        for networks in (method.student, method.teacher):
            networks.backbone.compile_blocks()


def build_student_optimizer(cfg: config.Recipe, method: StudentTeacher) -> torch.optim.AdamW:
    """Build the optimiser of the student, of its shards where it is dealt out."""
    return build_optimizer(
        method.student_parts,
        depth=len(method.student.backbone.blocks),
        layer_decay=cfg.optimizer.layer_decay,
        patch_embed_multiplier=cfg.optimizer.patch_embed_multiplier,
        betas=(cfg.optimizer.beta1, cfg.optimizer.beta2),
    )


def build_training(
    cfg: config.Recipe,
    *,
    world: World,
    method: StudentTeacher,
    optimizer: torch.optim.Optimizer,
    images: ImageSource,
    seed: int,
    steps: range,
    kept_steps: Sequence[int],
    work: Path,
    logs: Path,
    stop: StopRequest,
) -> Training:
    """Build the run that takes `method` through `steps` of the recipe's schedules.

    Raises:
        ValueError: fewer images than a batch holds, or a batch that the machine cannot deal out.
    """
    if len(images) < cfg.global_batch_size:
        raise ValueError(
            f"{len(images)} images are fewer than global_batch_size {cfg.global_batch_size}: lower "
            "it, or let the filters keep more"
        )
    torch.set_num_threads(cfg.run.cpu_threads)
    if world.device.type == "cpu":
        keep_freed_memory()
    batches = build_batches(
        images,
        augment=cfg.augment,
        loading=cfg.loading,
        global_batch_size=cfg.global_batch_size,
        seed=seed,
        rank=world.rank,
        world_size=world.size,
        pin_memory=world.device.type == "cuda",
    )
    return Training(
        method=method,
        optimizer=optimizer,
        schedules=build_schedules(cfg),
        batches=RecordingBatches(batches, quarantine_file(work, rank=world.rank)),
        masks=build_masks(cfg, seed=seed),
        seed=seed,
        world=world,
        batch_size=cfg.global_batch_size,
        images_at_once=images_at_once(cfg, processes=world.size, machine=read_machine()),
        depth_group=cfg.images_per_group or cfg.global_batch_size,
        steps=steps,
        kept_steps=kept_steps,
        clip_norm=cfg.optimizer.clip_norm,
        precision=cfg.run.precision,
        checkpoint_every=cfg.run.checkpoint_every,
        log_every=cfg.run.log_every,
        flops_per_image=sum(step_cost(cfg).flops.values()),
        stop=stop,
        work=work,
        logs=logs,
    )


def build_masks(cfg: config.Recipe, *, seed: int) -> Masks:
    """Build the function from a step and some of its images to the masks of their global crops.

    Each group of images has its own draws, so that a process makes no more than its share.
    """
    side = cfg.augment.global_crops.size // ARCHS[cfg.model.arch].patch_size
    masker: Masker
    if cfg.masking.kind == "block":
        masker = BlockMask(grid=(side, side), min_aspect=cfg.masking.min_aspect)
    else:
        masker = CyclicMask(
            grid=(side, side),
            min_aspect=cfg.masking.min_aspect,
            roll=cfg.masking.kind == "cyclic",
        )

    size = cfg.images_per_group or cfg.global_batch_size
    num_groups = cfg.global_batch_size // size

    def masks_of_group(index: int) -> BatchMasks:
        return sample_masks(
            masker,
            num_crops=2 * size,
            num_patches=side**2,
            probability=cfg.masking.probability,
            ratio=cfg.masking.ratio,
            counts=cfg.masking.counts,
            padded=cfg.masking.padded,
            generator=numpy_generator(seed, "masks", index),
        )

    def masks(step: int, images: range) -> BatchMasks:
        groups = range(images.start // size, (images.stop - 1) // size + 1)
        drawn = join_groups([masks_of_group(step * num_groups + group) for group in groups])
        wanted = range(images.start - groups.start * size, images.stop - groups.start * size)
        return drawn.of_images(wanted, num_images=len(groups) * size)

    return masks


def build_schedules(cfg: config.Recipe) -> Schedules:
    """Build the schedules of a run of `cfg.steps` updates."""
    schedule = cfg.schedule
    peak = scaled_learning_rate(schedule.base_learning_rate, batch_size=cfg.global_batch_size)
    first_temperature, last_temperature = schedule.teacher_temperature
    return Schedules(
        learning_rate=Schedule(
            start=0.0,
            peak=peak,
            end=schedule.final_learning_rate,
            total=cfg.steps,
            warmup=schedule.warmup_steps,
        ),
        weight_decay=_cosine(schedule.weight_decay, total=cfg.steps),
        momentum=_cosine(schedule.momentum, total=cfg.steps),
        teacher_temperature=Schedule(
            start=first_temperature,
            peak=last_temperature,
            end=last_temperature,
            total=schedule.teacher_temperature_steps,
            warmup=schedule.teacher_temperature_steps,
        ),
        frozen_last_layer=schedule.frozen_last_layer_steps,
    )


def _cosine(ends: tuple[float, float], *, total: int) -> Schedule:
    first, last = ends
    return Schedule(start=first, peak=first, end=last, total=total)


def _head(cfg: config.Head, *, dim: int, seed: int, purpose: str) -> MatryoshkaHead:
    return MatryoshkaHead(
        dim=dim,
        levels=cfg.levels,
        mode=cfg.mode,
        num_prototypes=cfg.num_prototypes,
        hidden_dim=cfg.hidden_dim,
        bottleneck_dim=cfg.bottleneck_dim,
        num_layers=cfg.num_layers,
        normalization=cfg.normalization,
        batch_norm=cfg.batch_norm,
        generator=generator(seed, f"initial {purpose}"),
    )


def _balancer(cfg: config.Objective, networks: Networks) -> Balancer:
    if cfg.targets == "centering":
        heads = (networks.dino_head, networks.ibot_head)
        return SoftmaxCentering([count for head in heads for count in head.num_prototypes])
    return SinkhornBalancer(iterations=cfg.sinkhorn_iterations)
