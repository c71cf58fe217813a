import signal
import threading
from collections.abc import Iterator

import pytest

from olrl.agents.search.calm import Calm


@pytest.fixture(autouse=True)
def _interrupted_as_in_a_shell() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(done: list[str]) -> None:
    with Calm():
        with Calm():
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")


def test_ctrl_c_comes_when_the_outermost_is_over() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done)
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_comes_and_an_error_passes() -> None:
    with pytest.raises(ValueError, match="mine"), Calm():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_it_does_nothing() -> None:
    handlers = []

    def look() -> None:
        with Calm():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
