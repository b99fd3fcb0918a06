"""The training loop: the story of a run, without any science."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import torch
from torch import Tensor
from tqdm import tqdm

from franca.data.collate import MultiCropBatch
from franca.masking.batch import BatchMasks
from franca.models.weights import save_backbone
from franca.randomness import generator
from franca.ssl.ema import update_teacher
from franca.ssl.student_teacher import Losses, StudentTeacher, make_views
from franca.train.checkpoint import load_newest_state, save_state
from franca.train.interruption import REQUEUE_EXIT_CODE, StopRequest
from franca.train.metrics import MetricsFile, Speed
from franca.train.optim import apply_settings, clip_gradients
from franca.train.precision import Precision, autocast
from franca.train.schedules import Schedules, StepSettings
from franca.train.state import collect_state, restore_state

logger = logging.getLogger(__name__)

Batches = Callable[[range], Iterator[MultiCropBatch]]
"""The batches of a range of steps; a batch depends on its step alone."""

Masks = Callable[[int], BatchMasks]
"""The masks of a step; likewise."""


class NonFiniteLossError(ValueError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run: what is trained, on what, how long, and where its state lives.

    Attributes:
        steps: numbers of the updates, counted from zero; a stage may have several runs on end.
        kept_steps: numbers of updates after which the teacher's backbone is kept.
        work: private folder; `states/`, `checkpoints/`, `metrics.jsonl` and `speed.json`.
    """

    method: StudentTeacher
    optimizer: torch.optim.Optimizer
    schedules: Schedules
    batches: Batches
    masks: Masks
    seed: int
    steps: range
    kept_steps: Sequence[int]
    clip_norm: float
    precision: Precision
    device: torch.device
    checkpoint_every: int
    log_every: int
    work: Path


def train(run: Training) -> None:
    """Train from the newest state in `run.work`, or from the start, to the last step.

    A run that is killed at any moment and started again ends with the same weights, bit for bit
    on the CPU.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the keys of the batch are in `run.work`.
        SystemExit: SIGTERM or SIGUSR1 arrived; the state is saved and the code asks for a requeue.
    """
    first = _resume(run)
    metrics = MetricsFile(run.work / "metrics.jsonl", first_step=first)
    speed = Speed()
    last = run.steps.stop
    steps = range(first, last)
    with StopRequest() as stop, _progress(run, first) as bar:
        for step, batch in zip(steps, run.batches(steps), strict=True):
            # Now and then: keep the teacher as it is before this update.
            _keep_backbone(run, step)

            # The update.
            settings = run.schedules.at(step)
            losses = _forward(run, batch, settings, step)
            _require_finite(run, losses, step=step, keys=batch.keys)
            norms = update(run.method, run.optimizer, losses, settings, clip_norm=run.clip_norm)

            # Now and then: report.
            speed.count(len(batch.keys))
            bar.update()
            if step % run.log_every == 0 or step == last - 1:
                metrics.write(step, _row(losses, norms, settings))
                bar.set_postfix_str(
                    f"loss {losses.total.item():.3f}, {speed.images_per_second:.0f} images/s"
                )

            # Now and then, at the end, and when asked to stop: save everything.
            done = step + 1
            if done % run.checkpoint_every == 0 or done == last or stop.received:
                save_state(
                    _states(run), step=done, tensors=collect_state(run.method, run.optimizer)
                )
            if stop.received and done < last:
                logger.info("%s: saved step %d, ask to be requeued", stop.received, done)
                raise SystemExit(REQUEUE_EXIT_CODE)
    _keep_backbone(run, last)
    _write_speed(run, speed)


def update(
    method: StudentTeacher,
    optimizer: torch.optim.Optimizer,
    losses: Losses,
    settings: StepSettings,
    *,
    clip_norm: float,
) -> dict[str, Tensor]:
    """Backward, clip, AdamW, teacher; return the gradient norms before clipping."""
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    norms = clip_gradients(method.student_parts, max_norm=clip_norm)
    apply_settings(optimizer, settings)
    optimizer.step()
    update_teacher(method.teacher, method.student, momentum=settings.momentum)
    return norms


def kept_backbone(work: Path, step: int) -> Path:
    """Return where a run keeps the teacher's backbone after `step` updates."""
    return work / "checkpoints" / f"step-{step:07d}.safetensors"


def _resume(run: Training) -> int:
    """Restore the newest usable state; return the number of updates it has seen."""
    newest = load_newest_state(_states(run))
    if newest is None:
        return run.steps.start
    step, tensors = newest
    restore_state(run.method, run.optimizer, tensors)
    logger.info("continuing at step %d of %d", step, run.steps.stop)
    return step


def _forward(run: Training, batch: MultiCropBatch, settings: StepSettings, step: int) -> Losses:
    with autocast(run.device, precision=run.precision):
        losses: Losses = run.method(
            make_views(batch, run.masks(step), device=run.device),
            teacher_temperature=settings.teacher_temperature,
            generator=generator(run.seed, "stochastic depth", step),
        )
    return losses


def _require_finite(run: Training, losses: Losses, *, step: int, keys: Sequence[str]) -> None:
    if torch.isfinite(losses.total):
        return
    terms = {name: term.item() for name, term in losses.terms.items()}
    dump = run.work / f"nonfinite-step-{step:07d}.json"
    content = {"step": step, "terms": {k: repr(v) for k, v in terms.items()}, "keys": list(keys)}
    dump.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    values = ", ".join(f"{name} {value:g}" for name, value in terms.items())
    raise NonFiniteLossError(
        f"the loss is not finite at step {step} ({values}); the keys of its images are in {dump}: "
        "lower schedule.base_learning_rate or objective weights, or drop a bad image"
    )


def _keep_backbone(run: Training, step: int) -> None:
    if step not in run.kept_steps:
        return
    path = kept_backbone(run.work, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_backbone(run.method.teacher.backbone, partial, metadata={"step": step})
    partial.replace(path)


def _row(losses: Losses, norms: Mapping[str, Tensor], settings: StepSettings) -> dict[str, float]:
    return {
        "loss": losses.total.item(),
        **{name: term.item() for name, term in losses.terms.items()},
        **{f"gradient_norm_{name}": norm.item() for name, norm in norms.items()},
        **dataclasses.asdict(settings),
    }


def _progress(run: Training, first: int) -> "tqdm[Never]":
    return tqdm(total=run.steps.stop, initial=first, desc="train", unit="step", disable=None)


def _states(run: Training) -> Path:
    return run.work / "states"


def _write_speed(run: Training, speed: Speed) -> None:
    content = json.dumps({"images_per_second": speed.images_per_second})
    (run.work / "speed.json").write_text(content + "\n", encoding="utf-8")
