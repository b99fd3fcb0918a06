"""The loop: the same bytes twice and after any kill, clear words when the loss is not finite."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from franca.train.interruption import REQUEUE_EXIT_CODE, StopRequest
from franca.train.loop import NonFiniteLossError, train
from tests.franca.train.recipes import batch_of, recipe, training

HERE = Path(__file__).parent
STATE = "states/step-0000006/tensors.safetensors"
PUBLISHED = ["checkpoints/step-0000000.safetensors", "checkpoints/step-0000006.safetensors"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    work = tmp_path_factory.mktemp("uninterrupted")
    train(training(recipe(), work, kept_steps=(0, 6)))
    return work


def files(work):
    names = [STATE, *PUBLISHED, "metrics.jsonl"]
    return {name: (work / name).read_bytes() for name in names}


def test_two_runs_write_the_same_bytes(uninterrupted, tmp_path):
    train(training(recipe(), tmp_path, kept_steps=(0, 6)))
    assert files(tmp_path) == files(uninterrupted)


def test_another_seed_writes_others(uninterrupted, tmp_path):
    train(training(recipe(), tmp_path, kept_steps=(0, 6), seed=1))
    assert all(content != files(uninterrupted)[name] for name, content in files(tmp_path).items())


CHILD = """
import sys
from pathlib import Path
from tests.franca.train.recipes import batches_of, recipe, training
from franca.train.interruption import StopRequest
from franca.train.loop import train

cfg, work = recipe(), Path(sys.argv[1])

def announced(steps):
    for step, batch in zip(steps, batches_of(cfg)(steps)):
        print(step, flush=True)
        yield batch

with StopRequest() as stop:
    train(training(cfg, work, kept_steps=(0, 6), batches=announced, stop=stop))
"""


def start(work):
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(work)],
        cwd=HERE.parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(child, step):
    for line in child.stdout:
        if int(line) >= step:
            return
    raise AssertionError(f"no step {step}: {child.stderr.read()}")


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bytes(uninterrupted, tmp_path):
    for step in (1, 3, 5):  # before the first state, between states, before the last
        child = start(tmp_path)
        wait_for_step(child, step)
        child.kill()
        child.communicate()
        assert child.returncode == -signal.SIGKILL
    child = start(tmp_path)
    _, errors = child.communicate(timeout=300)
    assert child.returncode == 0, errors
    assert files(tmp_path) == files(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop_it_saves_and_asks_for_a_requeue(uninterrupted, tmp_path, number):
    child = start(tmp_path)
    wait_for_step(child, 2)
    child.send_signal(number)
    child.communicate(timeout=300)
    assert child.returncode == REQUEUE_EXIT_CODE
    assert list((tmp_path / "states").iterdir())
    train(training(recipe(), tmp_path, kept_steps=(0, 6)))
    assert files(tmp_path) == files(uninterrupted)


def test_asked_to_stop_before_it_starts_it_leaves_what_is_there(tmp_path):
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        train(training(recipe(), tmp_path, stop=stop))
    assert end.value.code == REQUEUE_EXIT_CODE
    assert not list(tmp_path.iterdir())


def stop_at(step, cfg):
    """Batches that end the run as a kill would, without its process."""

    def batches(steps):
        for current in steps:
            if current == step:
                raise KeyboardInterrupt
            yield batch_of(cfg, current)

    return batches


@pytest.mark.parametrize("step", [1, 2, 4, 5])
def test_a_run_that_died_goes_on_to_the_same_bytes(uninterrupted, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        train(training(recipe(), tmp_path, kept_steps=(0, 6), batches=stop_at(step, recipe())))
    train(training(recipe(), tmp_path, kept_steps=(0, 6)))
    assert files(tmp_path) == files(uninterrupted)


def test_a_truncated_newest_state_costs_steps_but_no_bytes(uninterrupted, tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        train(training(recipe(), tmp_path, kept_steps=(0, 6), batches=stop_at(5, recipe())))
    newest = tmp_path / "states/step-0000004/tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    train(training(recipe(), tmp_path, kept_steps=(0, 6)))
    assert "falling back" in caplog.text
    assert files(tmp_path) == files(uninterrupted)


def test_a_finished_run_started_again_trains_no_more(uninterrupted):
    before = files(uninterrupted)

    def no_batches(steps):
        assert len(steps) == 0
        return iter(())

    train(training(recipe(), uninterrupted, kept_steps=(0, 6), batches=no_batches))
    assert files(uninterrupted) == before


def test_stochastic_depth_depends_on_the_step_alone(tmp_path):
    cfg = recipe(model__drop_path=0.4)
    train(training(cfg, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(training(cfg, tmp_path / "parts", batches=stop_at(3, cfg)))
    train(training(cfg, tmp_path / "parts"))
    assert (tmp_path / "parts" / STATE).read_bytes() == (tmp_path / "whole" / STATE).read_bytes()


def test_the_kept_backbone_is_the_teacher_after_that_many_updates(uninterrupted):
    state = load_file(uninterrupted / STATE)
    kept = load_file(uninterrupted / "checkpoints/step-0000006.safetensors")
    assert kept
    for name, weights in kept.items():
        assert torch.equal(weights, state[f"teacher.backbone.{name}"]), name


def test_the_initial_backbone_is_the_random_one(uninterrupted, tmp_path):
    fresh = training(recipe(), tmp_path).method.teacher.backbone.state_dict()
    kept = load_file(uninterrupted / "checkpoints/step-0000000.safetensors")
    assert all(torch.equal(weights, fresh[name]) for name, weights in kept.items())


def test_metrics_follow_the_schedules_and_hold_no_clock(uninterrupted):
    rows = [json.loads(line) for line in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(6))
    run = training(recipe(), uninterrupted)
    assert [row["learning_rate"] for row in rows] == [
        run.schedules.at(step).learning_rate for step in range(6)
    ]
    assert not any("second" in key or "time" in key for key in rows[0])


def test_frozen_prototypes_move_only_after_their_steps(tmp_path):
    cfg = recipe(steps=4, run__checkpoint_every=1)
    run = training(cfg, tmp_path)
    name = "student.dino_head.levels.0.last_layer.weight_v"
    initial = run.method.state_dict()[name].clone()
    seen = []

    def watched(steps):
        for step in steps:
            seen.append(torch.equal(run.method.state_dict()[name], initial))
            yield batch_of(cfg, step)

    train(training(cfg, tmp_path / "a"))
    object.__setattr__(run, "batches", watched)
    train(run)
    assert seen == [True, True, True, True]  # before updates 0 to 3; the third is still frozen
    assert not torch.equal(run.method.state_dict()[name], initial)


def test_a_loss_that_is_not_finite_names_step_terms_and_keys(tmp_path):
    cfg = recipe()
    run = training(cfg, tmp_path)

    def poisoned(steps):
        for step in steps:
            if step == 3:
                with torch.no_grad():
                    run.method.student.backbone.cls_token.fill_(torch.nan)
            yield batch_of(cfg, step)

    object.__setattr__(run, "batches", poisoned)
    with pytest.raises(
        NonFiniteLossError, match=r"not finite at step 3 \(dino_global nan, .*lower"
    ):
        train(run)
    dump = json.loads((tmp_path / "nonfinite-step-0000003.json").read_text())
    assert dump["keys"] == [f"3-{index}" for index in range(cfg.global_batch_size)]
    assert dump["terms"]["dino_global"] == "nan"


class Terminal(io.StringIO):
    """What a terminal is shown."""

    def isatty(self):
        return True


def test_the_progress_bar_shows_speed_utilisation_memory_and_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr("franca.train.metrics.peak_of", lambda _name: 1e12)
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    train(training(recipe(), tmp_path))
    bars = shown.getvalue().split("\r")
    measured = r"loss \d+\.\d{3}, \d+ images/s, \d+% MFU, \d+\.\d GB, data \d+%"
    assert re.search(measured, bars[-1]), bars[-1]
    assert re.search(r" 6/6 \[\d\d:\d\d<00:00", bars[-1]), bars[-1]  # passed < left
    assert re.search(r" 0/6 \[", bars[1]), bars[1]
