import signal
import threading

import pytest

from olrl.interrupt import Interrupt


def test_a_first_interrupt_waits_for_the_round_and_a_second_does_not() -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.requested == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_waiting_for_the_stream_is_interrupted_at_once() -> None:
    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt), interrupt.immediate():
            signal.raise_signal(signal.SIGINT)
        assert interrupt.requested == signal.SIGINT


def test_an_interrupt_just_before_waiting_is_not_lost() -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupt.immediate():
            pytest.fail("it went on to wait")


def test_the_callers_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_another_thread_may_run_too() -> None:
    entered: list[bool] = []

    def work() -> None:
        with Interrupt() as interrupt:
            entered.append(interrupt.requested is None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def test_what_is_held_is_ended_before_an_interrupt_comes() -> None:
    ended: list[bool] = []

    def work(interrupt: Interrupt) -> None:
        with interrupt.immediate(), interrupt.held():
            signal.raise_signal(signal.SIGINT)
            ended.append(True)

    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt):
            work(interrupt)
        assert ended == [True]
