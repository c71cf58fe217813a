"""Ending a run cleanly when it is interrupted."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Turns the first Ctrl-C (or SIGTERM) into a request that a run honours at the end of its round.

    A run that waits for its stream is interrupted at once (KeyboardInterrupt out of `immediate()`), and so is
    any run by a second Ctrl-C. Outside the main thread no handler can be installed, and none is.

    >>> with Interrupt() as interrupt:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupt.requested
    <Signals.SIGINT: 2>
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._at_once = self._held = self._missed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Within, an interrupt raises KeyboardInterrupt at once: nothing is lost by it there."""
        self._at_once = True
        try:
            if self.requested is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, nothing is raised: an interrupt that would have come at once comes at the end."""
        self._held, self._missed = True, False
        try:
            yield
        finally:
            self._held = False
        if self._missed:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested is not None, signal.Signals(number)
        if not (again or self._at_once):
            return
        if not self._held:
            raise KeyboardInterrupt
        self._missed = True
