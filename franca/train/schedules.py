"""Schedules indexed by step: learning rate, weight decay, teacher momentum and temperature.

A schedule is a pure function of the step, so resuming needs no scheduler state. The numbers are
those of the released code (valeoai/Franca, `utils/utils.py` CosineScheduler), to twelve digits.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Zero while frozen, a straight line from `start` to `peak`, then half a cosine to `end`.

    Attributes:
        start: first value of the line.
        peak: last value of the line and first of the cosine.
        end: value at step `total` and ever after.
        total: steps from the first to the end of the cosine.
        warmup: steps of the line.
        frozen: steps before the line during which the value is zero.
    """

    start: float
    peak: float
    end: float
    total: int
    warmup: int = 0
    frozen: int = 0

    def __post_init__(self) -> None:
        if self.warmup + self.frozen > self.total:
            raise ValueError(
                f"the schedule warms up for {self.warmup + self.frozen} steps but lasts "
                f"{self.total}: shorten the warm-up or train longer"
            )

    def __call__(self, step: int) -> float:
        """Return the value used by update number `step`, counted from zero."""
        if step < self.frozen:
            return 0.0
        if step >= self.total:
            return self.end
        line = step - self.frozen
        if line < self.warmup:
            return self.start + (self.peak - self.start) * line / max(self.warmup - 1, 1)
        progress = (line - self.warmup) / (self.total - self.frozen - self.warmup)
        return self.end + 0.5 * (self.peak - self.end) * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """The scheduled numbers of one update."""

    learning_rate: float
    last_layer_learning_rate: float
    weight_decay: float
    momentum: float
    teacher_temperature: float


@dataclass(frozen=True, kw_only=True)
class Schedules:
    """Everything that changes over a training run.

    Attributes:
        frozen_last_layer: first steps in which the prototypes stay as they were initialised
            (DINO: the features settle before the clusters may follow them).
    """

    learning_rate: Schedule
    weight_decay: Schedule
    momentum: Schedule
    teacher_temperature: Schedule
    frozen_last_layer: int

    def at(self, step: int) -> StepSettings:
        """Return the numbers of update number `step`, counted from zero."""
        learning_rate = self.learning_rate(step)
        return StepSettings(
            learning_rate=learning_rate,
            last_layer_learning_rate=0.0 if step < self.frozen_last_layer else learning_rate,
            weight_decay=self.weight_decay(step),
            momentum=self.momentum(step),
            teacher_temperature=self.teacher_temperature(step),
        )


def scaled_learning_rate(base: float, *, batch_size: int) -> float:
    """Scale a learning rate quoted for 1024 images with the square root of the batch.

    The paper quotes the scaled value: 1e-3 at 2048 images is a base of 7.07e-4.
    """
    return base * math.sqrt(batch_size / 1024)
