"""Being asked to stop: SIGTERM and SIGUSR1 end a run between two steps, ready to be requeued."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Never

# sysexits.h: "temporary failure, the user is invited to retry".
REQUEUE_EXIT_CODE = 75

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Context in which the two signals set a flag instead of ending the process.

    Outside the main thread Python cannot install handlers; there the signals act as before.
    """

    def __init__(self) -> None:
        self.received: str | None = None

    def __enter__(self) -> "StopRequest":
        """Install the handlers."""
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number).name


def requeue_at_once() -> None:
    """Let the two signals end this process with `REQUEUE_EXIT_CODE`: it has nothing to save."""
    for number in STOP_SIGNALS:
        signal.signal(number, _ask_for_requeue)


def _ask_for_requeue(_number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(REQUEUE_EXIT_CODE)
