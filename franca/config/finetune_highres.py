"""Parameters of high-resolution fine-tuning: what differs from the recipe of pre-training."""

from pydantic import Field, model_validator

from franca.config.base import Section
from franca.config.pretrain import Recipe, Schedule


class SubStage(Section):
    """Training at one resolution."""

    global_size: int = Field(ge=14, le=4096, description="side of the global crops in pixels")
    local_size: int = Field(ge=14, le=4096, description="side of the local crops in pixels")
    steps: int = Field(ge=1, description="updates")


class FinetuneHighres(Section):
    """Continued training at higher resolutions, one after the other.

    Everything not named here is as in pre-training, whose recipe lies beside its checkpoints. The
    schedule runs once over all sub-stages.
    """

    sub_stages: tuple[SubStage, ...] = Field(min_length=1, description="in this order")
    carry_heads: bool = Field(
        description="start from the pre-trained heads; false: from fresh ones (released code)"
    )
    carry_optimizer: bool = Field(
        description="start from the pre-trained moments; false: from zero (released code)"
    )
    drop_path: float = Field(ge=0, lt=1, description="stochastic depth of the student")
    global_batch_size: int = Field(ge=2, description="images per update over all devices")
    schedule: Schedule
    checkpoint_every: int = Field(ge=1, description="steps between resumable states")
    log_every: int = Field(ge=1, description="steps between rows of metrics.jsonl")

    @model_validator(mode="after")
    def _moments_belong_to_heads(self) -> "FinetuneHighres":
        if self.carry_optimizer and not self.carry_heads:
            raise ValueError(
                "carry_optimizer carries the moments of the heads too: set carry_heads: true, or "
                "carry_optimizer: false"
            )
        return self

    @property
    def steps(self) -> int:
        """Updates of all sub-stages together."""
        return sum(part.steps for part in self.sub_stages)

    def recipe(self, pretrained: Recipe, part: SubStage) -> Recipe:
        """Return the recipe of one sub-stage: the pre-trained one with this section's values.

        Raises:
            ValueError: the values do not fit the pre-trained model (pydantic's message names them).
        """
        changed = pretrained.model_dump()
        changed["model"]["drop_path"] = self.drop_path
        changed["augment"]["global_crops"]["size"] = part.global_size
        changed["augment"]["local_crops"]["size"] = part.local_size
        changed["schedule"] = self.schedule.model_dump()
        changed["run"]["checkpoint_every"] = self.checkpoint_every
        changed["run"]["log_every"] = self.log_every
        changed["steps"] = self.steps
        changed["global_batch_size"] = self.global_batch_size
        return Recipe.model_validate(changed)
