"""Signals set a flag while training and act as before afterwards."""

import os
import signal
import threading

from franca.train.interruption import StopRequest


def test_both_signals_are_noted_and_handlers_restored():
    before = signal.getsignal(signal.SIGUSR1)
    for number, name in [(signal.SIGUSR1, "SIGUSR1"), (signal.SIGTERM, "SIGTERM")]:
        with StopRequest() as stop:
            assert stop.received is None
            os.kill(os.getpid(), number)
            assert stop.received == name
    assert signal.getsignal(signal.SIGUSR1) == before


def test_other_threads_leave_the_handlers_alone():
    seen = []

    def body():
        with StopRequest() as stop:
            seen.append(stop.received)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [None]
    assert signal.getsignal(signal.SIGTERM) == before
