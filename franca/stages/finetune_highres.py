"""Continue training at higher resolutions, with position embeddings for the longer grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from franca.config.finetune_highres import FinetuneHighres
from franca.config.pretrain import Recipe
from franca.data.datasets import ImageSource, highres_images
from franca.randomness import derive_seed
from franca.ssl.student_teacher import StudentTeacher
from franca.train.build import (
    build_backbone,
    build_method,
    build_student_optimizer,
    build_training,
    place,
)
from franca.train.checkpoint import read_state
from franca.train.distributed import World, join_world
from franca.train.interruption import StopRequest
from franca.train.loop import final_state, kept_backbone, train
from franca.train.publish import (
    TRAINING_STATE,
    publish_checkpoints,
    publish_records,
    publish_state,
    read_recipe,
    summarise,
)
from franca.train.state import State, load_teacher, restore_moments, restore_networks


def run(
    cfg: FinetuneHighres,
    *,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    logs: Path,
    stop: StopRequest,
) -> dict[str, Any]:
    """Train through all sub-stages, then publish; `franca.train.publish` draws the output folder.

    Each sub-stage has a folder of its own in `work`. A finished one resumes at its end, so a killed
    stage arrives at the sub-stage where it was. Started by `torchrun`, all processes train and the
    first one publishes.

    Raises:
        ValueError: values that do not fit the pre-trained model, or a loss that is not finite.
        SystemExit: the stage was asked to stop; run again, it continues.
    """
    images = highres_images(inputs["pack_highres"], inputs["pack_shards"])
    pretrained = read_recipe(inputs["pretrain"])
    recipes = [cfg.recipe(pretrained, part) for part in cfg.sub_stages]
    seed = derive_seed(seed, "finetune_highres")  # another order and other crops than before
    _, state = read_state(inputs["pretrain"] / TRAINING_STATE)
    size = pretrained.augment.global_crops.size
    moments: State = state if cfg.carry_optimizer else {}
    steps = range(0)
    folders: list[Path] = []
    with join_world() as world:  # which also chooses the GPU that networks are built on
        method = _build(recipes[0], image_size=size, seed=seed)
        load_teacher(method, state, with_heads=cfg.carry_heads)
        for part, recipe in zip(cfg.sub_stages, recipes, strict=True):
            if folders:  # what the sub-stage before left, in the grid of its own resolution
                method = _build(recipe, image_size=size, seed=seed)
                moments = final_state(folders[-1], steps)
                restore_networks(method, moments)
            name = f"part-{len(folders)}"
            folders.append(work / name)
            steps = range(steps.stop, steps.stop + part.steps)
            _train_part(
                recipe, world=world, method=method, moments=moments, images=images, seed=seed,
                steps=steps, work=folders[-1], logs=logs / name, stop=stop,
            )  # fmt: skip
            size = part.global_size
    if not world.is_first:
        return {}
    step = steps.stop
    highres = {"highres": (step, kept_backbone(folders[-1], step))}
    publish_checkpoints(output, highres, batch_size=cfg.global_batch_size)
    publish_records(output, recipe=recipes[-1], runs=folders)
    publish_state(output, step=step, tensors=final_state(folders[-1], steps))
    return {"images": len(images), "samples": step * cfg.global_batch_size, **summarise(output)}


def _train_part(
    recipe: Recipe,
    *,
    world: World,
    method: StudentTeacher,
    moments: State,
    images: ImageSource,
    seed: int,
    steps: range,
    work: Path,
    logs: Path,
    stop: StopRequest,
) -> None:
    """Train one sub-stage with the moments of the one before."""
    method.set_image_size(recipe.augment.global_crops.size)
    place(method, recipe, world)
    optimizer = build_student_optimizer(recipe, method)
    restore_moments(method, optimizer, moments)
    work.mkdir(exist_ok=True)
    training = build_training(
        recipe,
        world=world,
        method=method,
        optimizer=optimizer,
        images=images,
        seed=seed,
        steps=steps,
        kept_steps=[steps.stop],
        work=work,
        logs=logs,
        stop=stop,
    )
    train(training)


def _build(recipe: Recipe, *, image_size: int, seed: int) -> StudentTeacher:
    """Build student and teacher with the position grid of a resolution, in pixels."""
    return build_method(
        recipe, backbone=build_backbone(recipe, image_size=image_size, seed=seed), seed=seed
    )
