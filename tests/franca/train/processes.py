"""Real processes that speak through gloo, as `torchrun` starts them, without its start-up time."""

import multiprocessing
import os
import signal
import socket
import traceback

from franca.train.distributed import join_world
from franca.train.interruption import STOP_SIGNALS

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.franca.train.recipes",
        "tensorboardX",
        "torch.distributed.fsdp",
        "torch.distributed.tensor",
        "torch._dynamo",
    ]
)


def run_together(function, size, *arguments):
    """Call `function(world, *arguments)` in `size` processes; return what each returned or
    raised."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answers = CONTEXT.Queue()
    processes = [
        CONTEXT.Process(target=_call, args=(function, rank, size, port, answers, arguments))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    results = dict(answers.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return [results[rank] for rank in range(size)]


def _call(function, rank, size, port, answers, arguments):
    # The loader's forkserver, where a test before this one started it, blocks them for its workers.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    try:
        with join_world() as world:
            result = function(world, *arguments)
    except BaseException as error:  # noqa: BLE001  what ends a process is its result
        result = f"{type(error).__name__}: {error}"
        if not isinstance(error, (ValueError, SystemExit)):
            result = traceback.format_exc()
    answers.put((rank, result))
