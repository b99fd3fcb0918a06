"""Processes started by torchrun: their exit status, and a signal that ends them with a state."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from franca.train.interruption import REQUEUE_EXIT_CODE, STOP_SIGNALS
from franca.train.launch import launch
from tests.franca.data.conftest import jpeg, pack
from tests.franca.train.processes import CONTEXT
from workflow import receipts

ROOT = Path(__file__).parents[3]
STAGE = ["pretrain", "--scale", "micro", "--set", "pretrain.run.checkpoint_every=100"]
STEPS = 16
PUBLISHED = Path("artifacts/micro/franca/pretrain")


def launch_bash(script):
    sys.exit(launch("bash", ["--nproc-per-node", "2", script]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("if [ $RANK = 1 ]; then exit 3; fi; sleep 60", 3),
        ("kill -KILL $$", 128 + signal.SIGKILL),
    ],
)
def test_the_status_is_that_of_the_first_process_to_fail(tmp_path, script, status):
    file = tmp_path / "script.sh"
    file.write_text(script)
    process = CONTEXT.Process(target=launch_bash, args=(str(file),))
    process.start()
    process.join()
    assert process.exitcode == status


@pytest.fixture
def project(tmp_path):
    """A folder with parameters and shards, where `franca pretrain` can start."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    shards = pack(root / "staging", {f"{index:04d}": jpeg(seed=index) for index in range(24)})
    receipt = receipts.make(shards, stage="pack_shards", parameters={}, inputs={}, summary={})
    receipts.publish(shards, root / "artifacts/micro/pack_shards", receipt)
    return root


def start(project, *command, **variables):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | variables
    return subprocess.Popen(
        ["franca", *command, *STAGE],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends_with(process, status):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors


def logged(root):
    files = list(root.rglob("metrics.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("number", STOP_SIGNALS)
@pytest.mark.parametrize("command", [[], ["torchrun", "--nproc-per-node", "2"]])
def test_a_signal_while_torch_is_imported_asks_for_a_requeue(project, command, number):
    """Python tells of each module when it is imported; torch itself is, after its modules."""
    process = start(project, *command, PYTHONPROFILEIMPORTTIME="1")
    imported = (line.rpartition("|")[2].strip() for line in process.stderr)
    assert next(name for name in imported if name.split(".")[0] == "torch") != "torch"
    process.send_signal(number)
    ends_with(process, REQUEUE_EXIT_CODE)
    assert not (project / PUBLISHED).exists()
    assert not logged(project)


@pytest.mark.slow
def test_a_node_that_cannot_be_reached_is_told_in_one_line(capfd):
    nobody = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:1"]
    soon = ["--rdzv-conf", "is_host=0,read_timeout=1"]
    assert launch("true", [*nobody, *soon, "script.sh"]) == 1
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith("franca: the node at which all meet cannot be reached")


def two_nodes():
    """Options of two machines, each with one process and a torchrun of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{probe.getsockname()[1]}"
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
    return [[*options, "--rdzv-endpoint", meeting, "--rdzv-id", "run"]] * 2


@pytest.mark.slow
def test_a_signal_to_one_of_two_nodes_saves_and_asks_both_for_a_requeue(project, tmp_path):
    """Started again on one node, the run ends where one undisturbed process ends."""
    ends_with(start(project), 0)
    expected = (project / PUBLISHED).rename(tmp_path / "undisturbed")

    agents = [start(project, "torchrun", *options) for options in two_nodes()]
    while len(logged(project / "work")) < 3:
        for agent in agents:
            assert agent.poll() is None, agent.stderr.read()
        time.sleep(0.01)
    agents[-1].send_signal(signal.SIGUSR1)  # the other machine is told by the processes
    for agent in agents:
        ends_with(agent, REQUEUE_EXIT_CODE)
    (state,) = project.rglob("work/**/state.json")  # written because of the signal alone
    saved = json.loads(state.read_text())
    assert 3 <= saved["step"] < STEPS
    assert len(saved["sha256"]) == 2
    assert not (project / PUBLISHED).exists()

    ends_with(start(project, "torchrun", "--nproc-per-node", "2"), 0)
    rows, undisturbed = logged(project / PUBLISHED), logged(expected)
    assert [row["step"] for row in rows] == list(range(STEPS))
    for row, other in zip(rows, undisturbed, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-5)
    ours, theirs = (
        load_file(folder / f"checkpoints/step-{STEPS:07d}.safetensors")
        for folder in (project / PUBLISHED, expected)
    )
    for name, tensor in theirs.items():
        assert_close(ours[name], tensor, atol=1e-4, rtol=1e-3)
