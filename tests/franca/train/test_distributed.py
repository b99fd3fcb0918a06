"""Several processes train as one does: the same losses, the same states, the same ends."""

import dataclasses
import functools
import json
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from franca.train.interruption import REQUEUE_EXIT_CODE, StopRequest
from franca.train.loop import final_state, train
from franca.train.machine import Machine
from tests.franca.train.processes import run_together
from tests.franca.train.recipes import batch_of, batches_of, recipe, training

LONG = {
    "steps": 20,
    "global_batch_size": 8,
    "images_per_group": 2,
    "run__checkpoint_every": 20,
    "model__drop_path": 0.2,
}
SMALL_PARTS = {"dino_head__batch_norm": False, "ibot_head__batch_norm": False}
# Batch norm of few rows amplifies rounding: at the rate of the others, the last bit of one weight
# of a single process moves these losses by up to 5e-5.
NORMED = LONG | {"schedule__base_learning_rate": 3e-4}
HEADS = {"norm": NORMED, "plain": LONG | SMALL_PARTS}


def losses(work):
    rows = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    names = [name for name in rows[0] if name.startswith(("loss", "dino", "ibot", "koleo"))]
    return torch.tensor([[row[name] for name in names] for row in rows], dtype=torch.float64)


def train_recipe(world, work, changes):
    train(training(recipe(**changes), Path(work), world=world, kept_steps=(0,)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Twenty steps of one process, with and without batch norm in the heads."""
    folders = {}
    for name, changes in HEADS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        train(training(recipe(**changes), folders[name], kept_steps=(0,)))
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("heads", HEADS)
def test_two_processes_have_the_losses_of_one(alone, tmp_path, heads):
    assert run_together(train_recipe, 2, str(tmp_path), HEADS[heads]) == [None, None]
    assert losses(tmp_path).shape[0] == 20
    torch.testing.assert_close(losses(tmp_path), losses(alone[heads]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("machine", [Machine(images_at_once=2), Machine(recompute=True)])
def test_parts_and_recomputation_have_the_losses_of_the_whole(alone, tmp_path, machine):
    cfg = recipe(**LONG, **SMALL_PARTS)
    run = training(cfg, tmp_path, kept_steps=(0,), machine=machine)
    assert run.images_at_once == (machine.images_at_once or 8)
    train(run)
    torch.testing.assert_close(losses(tmp_path), losses(alone["plain"]), atol=1e-5, rtol=1e-5)


def train_with_everything(world, work, changes):
    """Shards, parts, recomputation and compiled blocks, but for the code a compiler would write."""
    torch.compile = functools.partial(torch.compile, backend="aot_eager")
    machine = Machine(images_at_once=2, recompute=True, compiled=True)
    run = training(recipe(**changes), Path(work), world=world, kept_steps=(0,), machine=machine)
    train(dataclasses.replace(run, steps=range(3)))
    return sum(torch._dynamo.utils.counters["stats"].values())


@pytest.mark.slow
def test_compiled_blocks_go_with_shards_parts_and_recomputation(alone, tmp_path):
    graphs = run_together(train_with_everything, 2, str(tmp_path), HEADS["plain"])
    assert all(isinstance(count, int) and count > 0 for count in graphs), graphs
    expected = losses(alone["plain"])[:3]
    torch.testing.assert_close(losses(tmp_path), expected, atol=1e-5, rtol=1e-6)


def stop_the_second(world, work, changes, last_step):
    """Ask the second process to stop before a step; all take it, save and leave."""
    cfg = recipe(**changes)

    def batches(steps):
        for step, batch in zip(steps, batches_of(cfg, world)(steps), strict=True):
            if step == last_step and world.rank == 1:
                signal.raise_signal(signal.SIGUSR1)
            yield batch

    with StopRequest() as stop:
        train(training(cfg, Path(work), world=world, kept_steps=(0,), batches=batches, stop=stop))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4])
def test_a_state_of_two_processes_goes_on_in_any_number(alone, tmp_path, size):
    changes = LONG | SMALL_PARTS | {"run__checkpoint_every": 5}
    run_together(stop_the_second, 2, str(tmp_path), changes, 9)
    state = tmp_path / "states/step-0000010"
    assert sorted(path.name for path in state.glob("*.safetensors")) == [
        "tensors-00000.safetensors",
        "tensors-00001.safetensors",
    ]
    if size == 1:
        train(training(recipe(**changes), tmp_path, kept_steps=(0,)))
    else:
        assert run_together(train_recipe, size, str(tmp_path), changes) == [None] * size
    torch.testing.assert_close(losses(tmp_path), losses(alone["plain"]), atol=1e-5, rtol=1e-5)
    ours, theirs = (final_state(folder, range(20)) for folder in (tmp_path, alone["plain"]))
    assert set(ours) == set(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-4, rtol=1e-3)


def stop_the_second_at_once(world, work):
    """Ask the second process to stop before it has started; none makes an update."""
    with StopRequest() as stop:
        if world.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        train(training(recipe(), Path(work), world=world, stop=stop))


@pytest.mark.slow
def test_a_signal_to_one_process_that_starts_ends_all(tmp_path):
    ends = run_together(stop_the_second_at_once, 2, str(tmp_path))
    assert ends == [f"SystemExit: {REQUEUE_EXIT_CODE}"] * 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_with_a_state(tmp_path):
    ends = run_together(stop_the_second, 2, str(tmp_path), LONG, 3)
    assert ends == [f"SystemExit: {REQUEUE_EXIT_CODE}"] * 2
    assert (tmp_path / "states/step-0000004/state.json").is_file()


def poison_the_second(world, work, changes):
    cfg = recipe(**changes)
    run = training(cfg, Path(work), world=world, kept_steps=(0,))
    with torch.no_grad():
        if world.rank == 1:
            run.method.student.backbone.norm.weight.to_local().fill_(torch.nan)  # its shard
    train(run)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_step_and_images_of_all(tmp_path):
    ends = run_together(poison_the_second, 2, str(tmp_path), LONG)
    for end in ends:
        assert end.startswith("NonFiniteLossError: the loss is not finite at step 0")
    dumped = json.loads((tmp_path / "nonfinite-step-0000000.json").read_text())
    assert dumped["keys"] == list(batch_of(recipe(**LONG), 0).keys)


def count_reductions(world, work, changes):
    """Count what Sinkhorn-Knopp sends in one step."""
    sent = []
    plain = dist.all_reduce

    def counted(tensor, *arguments, **options):
        sent.append(tensor.numel())
        return plain(tensor, *arguments, **options)

    cfg = recipe(**changes)
    run = training(cfg, Path(work), world=world, kept_steps=(0,))
    from franca.train.loop import _parts

    parts = _parts(run, next(iter(batches_of(cfg, world)(range(1)))), 0)
    dist.all_reduce = counted
    try:
        run.method.teacher_targets([part.views for part in parts], temperature=0.07)
    finally:
        dist.all_reduce = plain
    return len(sent)


@pytest.mark.slow
def test_all_heads_together_take_three_reductions_a_step(tmp_path):
    assert run_together(count_reductions, 2, str(tmp_path), LONG | SMALL_PARTS) == [3, 3]
