"""Optuna's lock of a journal, over which Ctrl-C cannot make it trip."""

import signal
import threading
from types import FrameType

from optuna.storages.journal import JournalFileSymlinkLock


class CalmLock(JournalFileSymlinkLock):
    """While it is held, SIGINT waits, in the main thread, the only one that it interrupts.

    An interrupt in the middle of `release` makes Optuna remove a file twice, and raise FileNotFoundError instead.
    """

    _held: "_Held | None" = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        if self._held is None and threading.current_thread() is threading.main_thread():
            self._held = _Held()
        return super().acquire()

    def release(self) -> None:
        """Give it back; what came meanwhile is handled now."""
        super().release()
        held, self._held = self._held, None
        if held is not None:
            held.over()


class _Held:
    """From its making until `over`, SIGINT is noted only."""

    def __init__(self) -> None:
        self._came = False
        self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True

    def over(self) -> None:
        """Put the handler of before back, and have it handle what came."""
        signal.signal(signal.SIGINT, self._before)
        if self._came:
            signal.raise_signal(signal.SIGINT)
