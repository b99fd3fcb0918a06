"""Continue training at higher resolutions, with position embeddings for the longer grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from franca.config.finetune_highres import FinetuneHighres
from franca.config.pretrain import Recipe
from franca.data.datasets import ImageSource
from franca.data.shards import ShardDataset
from franca.randomness import derive_seed
from franca.ssl.student_teacher import StudentTeacher
from franca.train.build import (
    build_backbone,
    build_method,
    build_student_optimizer,
    build_training,
)
from franca.train.checkpoint import read_state
from franca.train.loop import kept_backbone, train
from franca.train.publish import (
    TRAINING_STATE,
    publish_checkpoints,
    publish_records,
    publish_state,
    read_recipe,
    summarise,
)
from franca.train.state import State, collect_state, load_teacher, restore_moments


def run(
    cfg: FinetuneHighres, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Train through all sub-stages, then publish; `franca.train.publish` draws the output folder.

    Each sub-stage has a folder of its own in `work`. A finished one resumes at its end, so a killed
    stage arrives at the sub-stage where it was.

    Raises:
        ValueError: values that do not fit the pre-trained model, or a loss that is not finite.
        SystemExit: the stage was asked to stop; run again, it continues.
    """
    images = ShardDataset(inputs["pack_shards"])
    pretrained = read_recipe(inputs["pretrain"])
    recipes = [cfg.recipe(pretrained, part) for part in cfg.sub_stages]
    seed = derive_seed(seed, "finetune_highres")  # another order and other crops than before
    state: State
    _, state = read_state(inputs["pretrain"] / TRAINING_STATE)
    method = _pretrained_method(
        recipes[0],
        image_size=pretrained.augment.global_crops.size,
        state=state,
        carry_heads=cfg.carry_heads,
        seed=seed,
    )
    if not cfg.carry_optimizer:
        state = {}
    step = 0
    folders: list[Path] = []
    for part, recipe in zip(cfg.sub_stages, recipes, strict=True):
        folders.append(work / f"part-{len(folders)}")
        steps = range(step, step + part.steps)
        state = _train_part(
            recipe, method=method, state=state, images=images, seed=seed, steps=steps,
            work=folders[-1],
        )  # fmt: skip
        step = steps.stop
    highres = {"highres": (step, kept_backbone(folders[-1], step))}
    publish_checkpoints(output, highres, batch_size=cfg.global_batch_size)
    publish_records(output, recipe=recipes[-1], runs=folders)
    publish_state(output, step=step, tensors=state)
    return {"images": len(images), "samples": step * cfg.global_batch_size, **summarise(output)}


def _train_part(
    recipe: Recipe,
    *,
    method: StudentTeacher,
    state: State,
    images: ImageSource,
    seed: int,
    steps: range,
    work: Path,
) -> State:
    """Train one sub-stage with the moments in `state`; return the state after it."""
    method.set_image_size(recipe.augment.global_crops.size)
    optimizer = build_student_optimizer(recipe, method)
    restore_moments(method, optimizer, state)
    work.mkdir(exist_ok=True)
    training = build_training(
        recipe,
        method=method,
        optimizer=optimizer,
        images=images,
        seed=seed,
        steps=steps,
        kept_steps=[steps.stop],
        work=work,
    )
    train(training)
    return collect_state(method, optimizer)


def _pretrained_method(
    recipe: Recipe, *, image_size: int, state: State, carry_heads: bool, seed: int
) -> StudentTeacher:
    """Start student and teacher from the pre-trained teacher, still at its own resolution."""
    backbone = build_backbone(recipe, image_size=image_size, seed=seed)
    method = build_method(recipe, backbone=backbone, seed=seed)
    load_teacher(method, state, with_heads=carry_heads)
    return method
