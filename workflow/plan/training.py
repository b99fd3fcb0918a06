"""The training stages of a run: operations, memory and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from franca.config.pretrain import Recipe
from franca.models.gpus import Gpu
from franca.ssl.cost import Step
from franca.train.cost import step_cost

_FP32 = 4  # bytes
USABLE = 0.9
"""Share of a GPU's memory that may be planned with; the rest is for fragmentation and buffers."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Training at one resolution.

    Attributes:
        name: the stage, and the resolution where it has several.
        step: one update, per image.
        steps: updates.
        batch_size: images per update over all GPUs.
    """

    name: str
    step: Step
    steps: int
    batch_size: int

    @property
    def images(self) -> int:
        """Images seen, repetitions counted."""
        return self.steps * self.batch_size

    @property
    def flops_per_image(self) -> float:
        """Operations of an image."""
        return sum(self.step.flops.values())

    def images_per_second(self, gpu: Gpu, *, utilisation: float) -> float:
        """Return the images a second of one GPU."""
        return gpu.peak * utilisation / self.flops_per_image

    def gpu_hours(self, gpu: Gpu, *, utilisation: float) -> float:
        """Return the hours that one GPU would take."""
        return self.images / self.images_per_second(gpu, utilisation=utilisation) / 3600


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one GPU.

    Attributes:
        state: weights, gradients, moments and teacher.
        working: copies of weights that are there while it computes.
        activations: kept for the backward pass.
        targets: logits and targets of the teacher.
    """

    state: float
    working: float
    activations: float
    targets: float

    @property
    def total(self) -> float:
        """All of them together."""
        return self.state + self.working + self.activations + self.targets


def phases(parameters: Any) -> list[Phase]:
    """Return pre-training and the sub-stages of fine-tuning, in order.

    Args:
        parameters: what `workflow.params.resolve` returned.

    Raises:
        ValueError: a sub-stage does not fit the model (pydantic's message names it).
    """
    pretrain, finetune = parameters.pretrain, parameters.finetune_highres
    recipe = Recipe.model_validate(pretrain.model_dump(exclude={"num_kept"}))
    later = [(part, finetune.recipe(recipe, part)) for part in finetune.sub_stages]
    return [
        _phase("pretrain", recipe, steps=recipe.steps),
        *(
            _phase(f"finetune_highres {part.global_size}", changed, steps=part.steps)
            for part, changed in later
        ),
    ]


def memory(phase: Phase, *, num_gpus: int, sharded: bool) -> Memory:
    """Estimate the memory of one GPU; the batch is dealt out over all of them.

    Args:
        phase: what is trained.
        num_gpus: GPUs that work together.
        sharded: whether each holds its share of the state, or all of it.
    """
    images = -(-phase.batch_size // num_gpus)
    step = phase.step
    return Memory(
        state=step.state_bytes / (num_gpus if sharded else 1),
        working=step.working_bytes,
        activations=images * step.activation_bytes,
        targets=images * step.target_bytes,
    )


def fewest_gpus(parts: Sequence[Phase], gpu: Gpu) -> int | None:
    """Return the least power of two of GPUs on which every phase fits, its state sharded.

    Args:
        parts: what `phases` returned.
        gpu: of that kind.

    Returns:
        None if even one image does not fit.
    """
    most = max(part.batch_size for part in parts)
    for power in range(most.bit_length() + 1):
        number: int = 2**power
        totals = [memory(part, num_gpus=number, sharded=True).total for part in parts]
        if max(totals) <= USABLE * gpu.memory:
            return number
    return None


def published_bytes(parameters: Any) -> dict[str, float]:
    """Return the bytes that each training stage publishes: backbones, and the state to go on from.

    Args:
        parameters: as for `phases`.
    """
    first, *later = phases(parameters)
    kept = {"pretrain": len(parameters.pretrain.kept_steps), "finetune_highres": 1}
    last = {"pretrain": first.step, "finetune_highres": later[-1].step}
    # Student, teacher and two moments; gradients are not kept.
    return {
        name: kept[name] * _FP32 * step.backbone_parameters + step.state_bytes * 4 / 5
        for name, step in last.items()
    }


def _phase(name: str, recipe: Recipe, *, steps: int) -> Phase:
    return Phase(
        name=name, step=step_cost(recipe), steps=steps, batch_size=recipe.global_batch_size
    )
