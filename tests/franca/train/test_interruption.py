"""Signals set a flag while training and act as before afterwards."""

import os
import signal
import threading

import pytest

from franca.train.interruption import (
    REQUEUE_EXIT_CODE,
    STOP_SIGNALS,
    StopRequest,
    requeue_at_once,
)


def test_both_signals_are_noted_and_handlers_restored():
    before = signal.getsignal(signal.SIGUSR1)
    for number, name in [(signal.SIGUSR1, "SIGUSR1"), (signal.SIGTERM, "SIGTERM")]:
        with StopRequest() as stop:
            assert stop.received is None
            os.kill(os.getpid(), number)
            assert stop.received == name
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_with_nothing_to_save_both_signals_ask_for_a_requeue_at_once(number):
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        requeue_at_once()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(number)
        assert end.value.code == REQUEUE_EXIT_CODE
    finally:
        for number_before, handler in before.items():
            signal.signal(number_before, handler)


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
