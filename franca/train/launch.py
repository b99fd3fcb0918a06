"""`torchrun`, but its exit status says whether the processes ask for a requeue.

torchrun itself ends with 1 whatever its processes ended with, and waits half a minute for them to
stop, which is too short for a large state.
"""

import sys
from collections.abc import Sequence

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError

from franca.train.interruption import REQUEUE_EXIT_CODE, STOP_SIGNALS

# SIGUSR1 and SIGTERM reach every process, which then saves and leaves; SIGINT and the rest end it.
_SIGNALS = ",".join(
    dict.fromkeys([*(number.name for number in STOP_SIGNALS), "SIGINT", "SIGHUP", "SIGQUIT"])
)
_SAVING_SECONDS = "270"  # within the 300 that a Slurm job has from its signal to its end


def launch(program: str, arguments: Sequence[str]) -> int:
    """Start `program` in several processes, here or on several nodes; return the exit status.

    It is 0, `REQUEUE_EXIT_CODE` if a signal to this process or to one of those it started has
    stopped them, 1 if the node at which all meet is gone, or the status of the process that failed
    first.

    Args:
        program: found on the PATH.
        arguments: options of torchrun, then those of the program from the first word that is no
            option.
    """
    defaults = ["--signals-to-handle", _SIGNALS, "--shutdown-timeout", _SAVING_SECONDS]
    options = torchrun.parse_args([*defaults, "--no-python", *arguments])
    options.training_script_args.insert(0, options.training_script)
    options.training_script = program
    try:
        torchrun.run(options)
    except SignalException as stop:
        return REQUEUE_EXIT_CODE if stop.sigval in STOP_SIGNALS else 128 + stop.sigval
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode != REQUEUE_EXIT_CODE:
            sys.stderr.write(
                f"franca: process {rank} ended with status {failure.exitcode} and so ended all: "
                "see what it said above\n"
            )
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except RendezvousError:
        sys.stderr.write(
            "franca: the node at which all meet cannot be reached: see what it said, then start "
            "all nodes again; training goes on from its last state\n"
        )
        return 1
    return 0
