"""Parameters of pre-training; the numbers of the paper are the base of params.yaml.

`finetune_highres` continues the `Recipe` that pretrain publishes and replaces parts of it.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from franca.config.augment import Augment, Loading
from franca.config.base import Section
from franca.models.archs import ARCHS

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Model(Section):
    """The backbone."""

    arch: str = Field(description="row of the table in franca/models/archs.py")
    drop_path: float = Field(ge=0, lt=1, description="stochastic depth of the student")
    layer_scale: float = Field(gt=0, description="initial LayerScale gamma")
    registers: int = Field(ge=0, description="register tokens")
    interpolation: Literal["franca", "antialias"] = Field(
        description="how position embeddings are resized for crops off the native grid"
    )

    @model_validator(mode="after")
    def _arch_is_in_the_table(self) -> "Model":
        if self.arch not in ARCHS:
            raise ValueError(f"arch {self.arch!r} is unknown: choose one of {', '.join(ARCHS)}")
        return self


class Head(Section):
    """A stack of Matryoshka heads, one per level; a single level of 1.0 is the DINOv2 baseline."""

    levels: tuple[float, ...] = Field(
        min_length=1, description="fractions of the features, ascending, the last of them 1"
    )
    num_prototypes: int = Field(ge=2, description="of the last level; others have their fraction")
    hidden_dim: int = Field(ge=1, description="width of the hidden layers")
    bottleneck_dim: int = Field(ge=1, description="dimension in which prototypes live")
    num_layers: int = Field(ge=1, description="linear layers up to the bottleneck")
    mode: Literal["slice", "project"] = Field(
        description="slice: level j sees the first features (paper); project: a learnt projection "
        "of all of them (released code)"
    )
    normalization: Literal["dinov2", "franca_release"] = Field(
        description="dinov2: embeddings of length 1; franca_release: trailing GELU, any length"
    )
    batch_norm: bool = Field(description="normalise hidden layers over the batch (small data)")

    @model_validator(mode="after")
    def _levels_ascend_to_one(self) -> "Head":
        ascending = all(low < high for low, high in pairwise((0.0, *self.levels)))
        if not ascending or self.levels[-1] != 1.0:
            raise ValueError(f"levels {list(self.levels)} must ascend from above 0 to exactly 1.0")
        if self.num_prototypes * self.levels[0] < 2:
            raise ValueError(
                f"num_prototypes {self.num_prototypes} leaves level {self.levels[0]} less than "
                "two: raise num_prototypes"
            )
        return self


class Masking(Section):
    """Which patches of which global crops the student does not see."""

    kind: Literal["cyclic", "inverse_block", "block"] = Field(
        description="cyclic: a visible rectangle shifted around the torus (paper); inverse_block: "
        "the same inside the crop; block: masked rectangles (DINOv2)"
    )
    probability: float = Field(ge=0, le=1, description="share of the global crops that are masked")
    ratio: tuple[float, float] = Field(description="least and largest share masked of such a crop")
    counts: Literal["uniform", "upper"] = Field(
        description="uniform: the share varies within its part of the range (paper); upper: the "
        "upper end of the part, so that every batch masks equally many (DINOv3)"
    )
    min_aspect: float = Field(gt=0, le=1, description="least height / width of a rectangle")
    padded: bool = Field(
        description="true: the teacher also balances a row of zeros for each patch that could have "
        "been masked and was not, which takes prototypes from the others (released code)"
    )

    @model_validator(mode="after")
    def _ratio_is_a_range(self) -> "Masking":
        low, high = self.ratio
        if not 0 <= low <= high < 1 or high == 0:
            raise ValueError(
                f"ratio {[low, high]} must satisfy 0 <= least <= largest < 1, not both 0"
            )
        return self


class Objective(Section):
    """The weighted sum that is minimised."""

    dino_weight: float = Field(ge=0, description="weight of the cls-token clustering loss")
    ibot_weight: float = Field(ge=0, description="weight of the masked-patch clustering loss")
    koleo_weight: float = Field(ge=0, description="weight of the spreading regulariser")
    level_weights: tuple[float, ...] | None = Field(
        description="weight of each Matryoshka level, coarse to fine; null: all one"
    )
    level_reduction: Literal["sum", "mean"] = Field(
        description="sum over levels (released code) or mean (keeps the scale of one level)"
    )
    student_temperature: float = Field(gt=0, description="softmax temperature of the student")
    targets: Literal["sinkhorn", "centering"] = Field(
        description="how teacher logits become targets"
    )
    sinkhorn_iterations: int = Field(ge=1, description="Sinkhorn-Knopp iterations")


class Optimizer(Section):
    """AdamW and its parameter groups."""

    beta1: float = Field(ge=0, lt=1, description="decay of the first moment")
    beta2: float = Field(ge=0, lt=1, description="decay of the second moment")
    clip_norm: float = Field(gt=0, description="largest gradient norm of each submodule")
    layer_decay: float = Field(gt=0, le=1, description="learning-rate factor per layer downwards")
    patch_embed_multiplier: float = Field(
        gt=0, le=1, description="further learning-rate factor of the patch embedding"
    )


class Schedule(Section):
    """What changes over the run; durations are in steps."""

    base_learning_rate: float = Field(
        gt=0, description="peak at 1024 images; multiplied by sqrt(global_batch_size / 1024)"
    )
    final_learning_rate: float = Field(ge=0, description="end of the cosine, not scaled")
    warmup_steps: int = Field(ge=0, description="linear warm-up of the learning rate")
    frozen_last_layer_steps: int = Field(ge=0, description="prototypes stay put at first")
    weight_decay: tuple[NonNegative, NonNegative] = Field(description="first and last, cosine")
    momentum: tuple[Fraction, Fraction] = Field(description="first and last of teacher, cosine")
    teacher_temperature: tuple[Positive, Positive] = Field(description="first and last, linear")
    teacher_temperature_steps: int = Field(ge=0, description="steps from first to last")


class Run(Section):
    """Arithmetic, and how often something is written."""

    precision: Literal["fp32", "bf16"] = Field(
        description="arithmetic of the backbones and of the heads' MLPs"
    )
    cpu_threads: int = Field(
        ge=1,
        description="threads of arithmetic on a CPU; another number changes the last bits of sums",
    )
    checkpoint_every: int = Field(ge=1, description="steps between resumable states")
    log_every: int = Field(ge=1, description="steps between rows of metrics.jsonl")


class Recipe(Section):
    """What training at one resolution needs; pretrain publishes its own for the next stage."""

    model: Model
    dino_head: Head
    ibot_head: Head
    augment: Augment
    loading: Loading
    masking: Masking
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    run: Run
    steps: int = Field(ge=1, description="updates")
    global_batch_size: int = Field(ge=2, description="images per update over all devices")
    images_per_group: int | None = Field(
        ge=2,
        description="images among which KoLeo looks for neighbours, over whose crops the masked "
        "shares are spread, and of which stochastic depth leaves out its share; null: the whole "
        "batch. Elsewhere those of one GPU",
    )

    @model_validator(mode="after")
    def _groups_fill_the_batch(self) -> "Recipe":
        if self.images_per_group and self.global_batch_size % self.images_per_group:
            raise ValueError(
                f"global_batch_size {self.global_batch_size} is no multiple of images_per_group "
                f"{self.images_per_group}: change one of them"
            )
        return self

    @model_validator(mode="after")
    def _crops_divide_into_patches(self) -> "Recipe":
        patch_size = ARCHS[self.model.arch].patch_size
        for name in ("global_crops", "local_crops"):
            size = getattr(self.augment, name).size
            if size % patch_size:
                raise ValueError(
                    f"augment.{name}.size {size} is not a multiple of {self.model.arch}'s patches "
                    f"of {patch_size} pixels: try {max(size // patch_size, 1) * patch_size}"
                )
        return self

    @model_validator(mode="after")
    def _levels_fit(self) -> "Recipe":
        width = ARCHS[self.model.arch].width
        weights = self.objective.level_weights
        for name in ("dino_head", "ibot_head"):
            levels = getattr(self, name).levels
            if int(levels[0] * width) < 1:
                raise ValueError(
                    f"{name}.levels starts with {levels[0]}, less than one of {width} features: "
                    f"start with at least {1 / width:.4f}"
                )
            if weights is not None and len(weights) != len(levels):
                raise ValueError(
                    f"objective.level_weights has {len(weights)} entries for {len(levels)} "
                    f"{name}.levels: give one per level, or null"
                )
        if len(self.dino_head.levels) != len(self.ibot_head.levels):
            raise ValueError("dino_head.levels and ibot_head.levels must be equally many")
        return self

    @model_validator(mode="after")
    def _something_is_masked(self) -> "Recipe":
        crop = self.augment.global_crops.size // ARCHS[self.model.arch].patch_size
        num_crops = 2 * (self.images_per_group or self.global_batch_size)
        num_masked = int(num_crops * self.masking.probability)
        if num_masked < 1 or int(crop**2 * self.masking.ratio[1]) < 1:
            raise ValueError(
                f"masking hides nothing: {num_masked} of {num_crops} crops, at "
                f"most {self.masking.ratio[1]} of {crop**2} patches; raise probability or ratio"
            )
        return self

    @model_validator(mode="after")
    def _local_crops_exist(self) -> "Recipe":
        if self.augment.local_crops.count < 1:
            raise ValueError("augment.local_crops.count must be at least 1 to train")
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Recipe":
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} must be below steps "
                f"{self.steps}: shorten the warm-up or train longer"
            )
        return self


class Pretrain(Recipe):
    """Pre-training of a backbone on shards of images."""

    num_kept: int = Field(ge=2, description="teacher backbones to keep, initial and last included")

    @property
    def kept_steps(self) -> list[int]:
        """Steps whose teacher backbone is published."""
        return kept_steps(self.steps, self.num_kept)


def kept_steps(total: int, count: int) -> list[int]:
    """Return at most `count` steps: 0, then each twice the one before, up to `total`.

    >>> kept_steps(400, 5)
    [0, 50, 100, 200, 400]
    """
    return sorted({0} | {total >> halvings for halvings in range(count - 1)})
