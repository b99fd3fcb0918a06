"""The training loop: the story of a run, without any science."""

import dataclasses
import functools
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import torch
from torch import Tensor
from tqdm import tqdm

from franca.data.collate import MultiCropBatch
from franca.masking.batch import BatchMasks
from franca.models.stochastic_depth import DepthSource
from franca.models.weights import write_tensors
from franca.randomness import generator
from franca.ssl.student_teacher import Losses, StudentTeacher, make_views
from franca.train.checkpoint import StateWriter, newest_step, open_state
from franca.train.distributed import World, whole
from franca.train.interruption import REQUEUE_EXIT_CODE, StopRequest
from franca.train.metrics import Meter, RunLog
from franca.train.precision import Precision, autocast
from franca.train.schedules import Schedules, StepSettings
from franca.train.state import collect_state, restore_state, shards_at_hand
from franca.train.step import Part, make_gradients, update

logger = logging.getLogger(__name__)

Batches = Callable[[range], Iterator[MultiCropBatch]]
"""This process's share of the batches of a range of steps; it depends on the step alone."""

Masks = Callable[[int, range], BatchMasks]
"""The masks of some of the images of a step; likewise."""


class NonFiniteLossError(ValueError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run: what is trained, on what, how long, and where its state lives.

    Attributes:
        world: the processes that train together.
        batch_size: images per update, over all processes.
        images_at_once: images that a process gives the student at once, a divisor of its share.
        depth_group: images of whose crops stochastic depth leaves out a fixed share.
        steps: numbers of the updates, counted from zero; a stage may have several runs on end.
        kept_steps: numbers of updates after which the teacher's backbone is kept.
        flops_per_image: operations of an update, for the log.
        stop: whether this process has been asked to stop, since long before the first update.
        work: private folder; `states/`, `checkpoints/` and `metrics.jsonl`.
        logs: folder for what a clock went into: `speed.jsonl` and TensorBoard's files.
    """

    method: StudentTeacher
    optimizer: torch.optim.Optimizer
    schedules: Schedules
    batches: Batches
    masks: Masks
    seed: int
    world: World
    batch_size: int
    images_at_once: int
    depth_group: int
    steps: range
    kept_steps: Sequence[int]
    clip_norm: float
    precision: Precision
    checkpoint_every: int
    log_every: int
    flops_per_image: float
    stop: StopRequest
    work: Path
    logs: Path


def train(run: Training) -> None:
    """Train from the newest state in `run.work`, or from the start, to the last step.

    A run that is killed at any moment and started again, also with another number of processes,
    ends with the same weights: bit for bit with as many on the CPU.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the keys of the batch are in `run.work`.
        SystemExit: SIGTERM or SIGUSR1 arrived; the state is saved, if an update has been made, and
            the code asks for a requeue.
    """
    _leave_if_asked(run)
    world, last = run.world, run.steps.stop
    first = _resume(run)
    steps = range(first, last)
    meter = Meter(batch_size=run.batch_size, world=world, flops_per_image=run.flops_per_image)
    states = StateWriter(_states(run), rank=world.rank, size=world.size)
    log = RunLog(run.work, logs=run.logs, first_step=first, writes=world.is_first)
    with log, states, _progress(run, first) as bar:
        world.wait()  # the first process has removed what a killed run left
        for step, batch in zip(steps, meter.waiting(run.batches(steps)), strict=True):
            # Now and then: keep the teacher as it is before this update.
            _keep_backbone(run, step)

            # The update, then how all processes fare. The answer waits for the device, which has by
            # then been told the whole step.
            settings = run.schedules.at(step)
            here = make_gradients(
                run.method,
                _parts(run, batch, step),
                teacher_temperature=settings.teacher_temperature,
                precision=functools.partial(autocast, world.device, precision=run.precision),
            )
            norms = update(
                run.method, run.optimizer, settings, clip_norm=run.clip_norm, norm_of_all=world.norm
            )
            losses, stopping = _everyones(run, here)
            _require_finite(run, losses, step=step, keys=batch.keys)

            # Now and then: report.
            meter.count_step()
            bar.update()
            if step % run.log_every == 0 or step == last - 1:
                log.write(step, _row(losses, norms, settings))
                speed = meter.lap()
                log.write_speed(step, speed)
                bar.set_postfix_str(f"loss {losses['loss']:.3f}, {speed.text}", refresh=False)

            # Now and then, at the end, and when asked to stop: save everything.
            done = step + 1
            if done % run.checkpoint_every == 0 or done == last or stopping:
                states.save(done, _state(run))
            if stopping and done < last:
                states.wait()
                world.wait()  # nobody leaves before all has been written
                logger.info("%s: saved step %d, ask to be requeued", _reason(run), done)
                raise SystemExit(REQUEUE_EXIT_CODE)
    _keep_backbone(run, last)
    world.wait()


def final_state(work: Path, steps: range) -> Mapping[str, Tensor]:
    """Open the state that a finished run left: the tensors of `collect_state`, whole."""
    return open_state(work / "states", steps.stop)


def kept_backbone(work: Path, step: int) -> Path:
    """Return where a run keeps the teacher's backbone after `step` updates."""
    return work / "checkpoints" / f"step-{step:07d}.safetensors"


def _leave_if_asked(run: Training) -> None:
    """End all processes if one was asked to stop while it started: nothing is there to save."""
    if run.world.mean(_asked(run)).item() > 0:
        logger.info("%s: not started, ask to be requeued", _reason(run))
        raise SystemExit(REQUEUE_EXIT_CODE)


def _asked(run: Training) -> Tensor:
    return torch.tensor(float(run.stop.received is not None), device=run.world.device)


def _reason(run: Training) -> str:
    return run.stop.received or "another process was asked to stop"


def _resume(run: Training) -> int:
    """Restore the newest usable state; return the number of updates it has seen."""
    newest = newest_step(_states(run)) if run.world.is_first else None
    step = run.world.from_first(-1 if newest is None else newest)
    if step < 0:
        return run.steps.start
    restore_state(run.method, run.optimizer, open_state(_states(run), step))
    logger.info("continuing at step %d of %d", step, run.steps.stop)
    return step


def _parts(run: Training, batch: MultiCropBatch, step: int) -> list[Part]:
    """Cut this process's share of a batch into what the student sees at once."""
    share = run.world.share(run.batch_size)
    masks = run.masks(step, share)
    parts = []
    for start in range(0, len(share), run.images_at_once):
        here = range(start, start + run.images_at_once)
        views = make_views(
            batch.of_images(here),
            masks.of_images(here, num_images=len(share)),
            device=run.world.device,
        )
        source = functools.partial(generator, run.seed, "stochastic depth", step)
        images = share[here.start : here.stop]
        depth = DepthSource(generator=source, group_size=run.depth_group, images=images)
        parts.append(Part(views=views, depth=depth))
    return parts


def _everyones(run: Training, here: Losses) -> tuple[dict[str, float], bool]:
    """Return the losses of the whole batch, and whether any process was asked to stop."""
    values = {"loss": here.total, **here.terms}
    *means, stopping = run.world.mean(torch.stack([*values.values(), _asked(run)])).tolist()
    return dict(zip(values, means, strict=True)), stopping > 0


def _require_finite(
    run: Training, losses: Mapping[str, float], *, step: int, keys: Sequence[str]
) -> None:
    if math.isfinite(losses["loss"]):
        return
    terms = {name: value for name, value in losses.items() if name != "loss"}
    dump = run.work / f"nonfinite-step-{step:07d}.json"
    everyones = [
        key for text in run.world.gather_texts(json.dumps(keys)) for key in json.loads(text)
    ]
    content = {"step": step, "terms": {k: repr(v) for k, v in terms.items()}, "keys": everyones}
    if run.world.is_first:
        dump.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    run.world.wait()  # or `torchrun` ends the first process before it has written
    values = ", ".join(f"{name} {value:g}" for name, value in terms.items())
    raise NonFiniteLossError(
        f"the loss is not finite at step {step} ({values}); the keys of its images are in {dump}: "
        "lower schedule.base_learning_rate or objective weights, or drop a bad image"
    )


def _keep_backbone(run: Training, step: int) -> None:
    if step not in run.kept_steps:
        return
    backbone = run.method.teacher.backbone
    tensors = {name: whole(tensor) for name, tensor in backbone.state_dict().items()}
    if run.world.is_first:
        path = kept_backbone(run.work, step)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        write_tensors(tensors, partial, header={"step": step, "model": backbone.settings})
        partial.replace(path)


def _state(run: Training) -> dict[str, Tensor]:
    tensors = collect_state(run.method, run.optimizer)
    return shards_at_hand(tensors, is_first=run.world.is_first)


def _row(
    losses: Mapping[str, float], norms: Mapping[str, Tensor], settings: StepSettings
) -> dict[str, float]:
    return {
        **losses,
        **{f"gradient_norm_{name}": norm.item() for name, norm in norms.items()},
        **dataclasses.asdict(settings),
    }


def _progress(run: Training, first: int) -> "tqdm[Never]":
    return tqdm(
        total=run.steps.stop,
        initial=first,
        desc="train",
        unit="step",
        disable=not run.world.is_first,
        mininterval=0.1 if sys.stderr.isatty() else 30,  # seconds; a log is read afterwards
    )


def _states(run: Training) -> Path:
    return run.work / "states"
