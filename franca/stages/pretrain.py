"""Pre-train a backbone: shards in, teacher backbones and the state to go on from out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from franca.config.pretrain import Pretrain, Recipe
from franca.data.shards import ShardDataset
from franca.train.build import (
    build_backbone,
    build_method,
    build_student_optimizer,
    build_training,
    place,
)
from franca.train.distributed import join_world
from franca.train.interruption import StopRequest
from franca.train.loop import final_state, kept_backbone, train
from franca.train.publish import publish_checkpoints, publish_records, publish_state, summarise


def run(
    cfg: Pretrain,
    *,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    logs: Path,
    stop: StopRequest,
) -> dict[str, Any]:
    """Train, then publish; `franca.train.publish` draws the output folder.

    Started by `torchrun`, all processes train and the first one publishes.

    Raises:
        ValueError: fewer images than a batch holds, or a loss that is not finite.
        SystemExit: the stage was asked to stop; run again, it continues.
    """
    images = ShardDataset(inputs["pack_shards"])
    recipe = Recipe.model_validate(cfg.model_dump(exclude={"num_kept"}))
    steps = range(cfg.steps)
    with join_world() as world:
        backbone = build_backbone(recipe, image_size=recipe.augment.global_crops.size, seed=seed)
        method = build_method(recipe, backbone=backbone, seed=seed)
        place(method, recipe, world)
        training = build_training(
            recipe,
            world=world,
            method=method,
            optimizer=build_student_optimizer(recipe, method),
            images=images,
            seed=seed,
            steps=steps,
            kept_steps=cfg.kept_steps,
            work=work,
            logs=logs,
            stop=stop,
        )
        train(training)
    if not world.is_first:
        return {}
    backbones = {f"step-{step:07d}": (step, kept_backbone(work, step)) for step in cfg.kept_steps}
    publish_checkpoints(output, backbones, batch_size=cfg.global_batch_size)
    publish_records(output, recipe=recipe, runs=[work])
    publish_state(output, step=cfg.steps, tensors=final_state(work, steps))
    return {
        "images": len(images),
        "samples": cfg.steps * cfg.global_batch_size,
        **summarise(output),
    }
