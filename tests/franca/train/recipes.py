"""Small recipes and batches that need no files, for the tests of training."""

import functools

import torch

from franca.config.pretrain import Recipe
from franca.data.collate import MultiCropBatch
from franca.models.stochastic_depth import DepthSource
from franca.randomness import generator
from franca.ssl.student_teacher import make_views
from franca.train.build import (
    build_backbone,
    build_masks,
    build_method,
    build_schedules,
    build_student_optimizer,
    place,
)
from franca.train.cost import step_cost
from franca.train.distributed import World
from franca.train.interruption import StopRequest
from franca.train.loop import Training
from franca.train.machine import Machine
from franca.train.machine import images_at_once as fitting
from franca.train.step import Part

ALONE = World(device=torch.device("cpu"))
ANY = Machine()
HEAD = {
    "levels": (0.25, 1.0),
    "num_prototypes": 32,
    "hidden_dim": 16,
    "bottleneck_dim": 4,
    "num_layers": 2,
    "mode": "slice",
    "normalization": "dinov2",
    "batch_norm": True,
}
RECIPE = {
    "model": {
        "arch": "vit_tiny",
        "drop_path": 0.0,
        "layer_scale": 1.0,
        "registers": 0,
        "interpolation": "franca",
    },
    "dino_head": HEAD,
    "ibot_head": HEAD,
    "augment": {
        "global_crops": {"size": 32, "scale": (0.4, 1.0)},
        "local_crops": {"size": 16, "scale": (0.1, 0.4), "count": 2},
        "flip": 0.5,
        "jitter": {
            "probability": 0.8,
            "brightness": 0.4,
            "contrast": 0.4,
            "saturation": 0.2,
            "hue": 0.1,
        },
        "grayscale": 0.2,
        "blur": {
            "kernel_size": 3,
            "sigma": (0.1, 0.5),
            "first_global": 0.1,
            "second_global": 0.1,
            "local": 0.1,
            "legacy": False,
        },
        "solarize": {"probability": 0.2, "threshold": 128},
        "backend": "opencv",
        "approximate_colour": False,
    },
    "loading": {"workers": 0, "prefetch": 1, "cache_megabytes": 64, "max_undecodable": 0.0},
    "masking": {
        "kind": "cyclic",
        "probability": 0.5,
        "ratio": (0.2, 0.6),
        "counts": "uniform",
        "min_aspect": 0.5,
        "padded": False,
    },
    "objective": {
        "dino_weight": 1.0,
        "ibot_weight": 1.0,
        "koleo_weight": 0.1,
        "level_weights": None,
        "level_reduction": "sum",
        "student_temperature": 0.1,
        "targets": "sinkhorn",
        "sinkhorn_iterations": 3,
    },
    "optimizer": {
        "beta1": 0.9,
        "beta2": 0.99,
        "clip_norm": 3.0,
        "layer_decay": 0.9,
        "patch_embed_multiplier": 0.2,
    },
    "schedule": {
        "base_learning_rate": 1e-2,
        "final_learning_rate": 1e-6,
        "warmup_steps": 2,
        "frozen_last_layer_steps": 3,
        "weight_decay": (0.04, 0.2),
        "momentum": (0.9, 1.0),
        "teacher_temperature": (0.04, 0.07),
        "teacher_temperature_steps": 4,
    },
    "run": {"precision": "fp32", "cpu_threads": 1, "checkpoint_every": 2, "log_every": 1},
    "steps": 6,
    "global_batch_size": 4,
    "images_per_group": None,
}

IN_PARTS = {  # what changes of it that a batch can be seen in parts
    "global_batch_size": 8,
    "images_per_group": 2,
    "model__drop_path": 0.3,
    "dino_head__batch_norm": False,
    "ibot_head__batch_norm": False,
}


def recipe(**changes):
    """The recipe with `section__key=value` replaced."""
    values = {name: dict(v) if isinstance(v, dict) else v for name, v in RECIPE.items()}
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            values[section][key] = value
        else:
            values[section] = value
    return Recipe.model_validate(values)


def batch_of(cfg, step):
    """Uniform noise that depends on the step alone."""
    draw = generator(0, "test batch", step)
    count, augment = cfg.global_batch_size, cfg.augment

    def crops(views, size):
        shape = (views * count, 3, size, size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)

    return MultiCropBatch(
        global_crops=crops(2, augment.global_crops.size),
        local_crops=crops(augment.local_crops.count, augment.local_crops.size),
        keys=tuple(f"{step}-{index}" for index in range(count)),
    )


def batches_of(cfg, world=ALONE):
    """A process's share of the batches of a range of steps."""
    share = world.share(cfg.global_batch_size)
    return lambda steps: (batch_of(cfg, step).of_images(share) for step in steps)


def parts_of(cfg, *, images_at_once, device=ALONE.device):
    """The first batch, as the student sees it: so many images at once."""
    count, size = cfg.global_batch_size, cfg.images_per_group
    batch, masks, parts = batch_of(cfg, 0), build_masks(cfg, seed=0)(0, range(count)), []
    for start in range(0, count, images_at_once):
        images = range(start, start + images_at_once)
        of_images = batch.of_images(images), masks.of_images(images, num_images=count)
        source = functools.partial(generator, 0, "stochastic depth")
        depth = DepthSource(generator=source, group_size=size, images=images)
        parts.append(Part(views=make_views(*of_images, device=device), depth=depth))
    return parts


def build(cfg, *, seed=0):
    """Student and teacher of a recipe."""
    backbone = build_backbone(cfg, image_size=cfg.augment.global_crops.size, seed=seed)
    return build_method(cfg, backbone=backbone, seed=seed)


def training(
    cfg, work, *, seed=0, batches=None, kept_steps=(), world=ALONE, machine=ANY, stop=None
):
    """A run of a recipe on noise."""
    method = build(cfg, seed=seed)
    place(method, cfg, world, machine=machine)
    return Training(
        method=method,
        optimizer=build_student_optimizer(cfg, method),
        schedules=build_schedules(cfg),
        batches=batches or batches_of(cfg, world),
        masks=build_masks(cfg, seed=seed),
        seed=seed,
        world=world,
        batch_size=cfg.global_batch_size,
        images_at_once=fitting(cfg, processes=world.size, machine=machine),
        depth_group=cfg.images_per_group or cfg.global_batch_size,
        steps=range(cfg.steps),
        kept_steps=kept_steps,
        clip_norm=cfg.optimizer.clip_norm,
        precision=cfg.run.precision,
        checkpoint_every=cfg.run.checkpoint_every,
        log_every=cfg.run.log_every,
        flops_per_image=sum(step_cost(cfg).flops.values()),
        stop=stop or StopRequest(),
        work=work,
        logs=work / "logs",
    )
