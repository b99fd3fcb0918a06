"""From a recipe of the parameters to what its updates cost, without torch."""

import dataclasses

from franca.config.pretrain import Head, Recipe
from franca.heads.cost import HeadStack
from franca.models.archs import ARCHS
from franca.ssl.cost import Step


def step_cost(recipe: Recipe) -> Step:
    """Return the cost of one update, per image."""
    model, augment, masking = recipe.model, recipe.augment, recipe.masking
    arch = dataclasses.replace(ARCHS[model.arch], image_size=augment.global_crops.size)
    return Step(
        arch=arch,
        registers=model.registers,
        drop_path=model.drop_path,
        precision=recipe.run.precision,
        dino_head=_stack(recipe.dino_head, dim=arch.width),
        ibot_head=_stack(recipe.ibot_head, dim=arch.width),
        global_size=augment.global_crops.size,
        local_size=augment.local_crops.size,
        num_local=augment.local_crops.count,
        masked_share=masking.probability * sum(masking.ratio) / 2,
    )


def _stack(head: Head, *, dim: int) -> HeadStack:
    return HeadStack(dim=dim, **head.model_dump(exclude={"normalization"}))
