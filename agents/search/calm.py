"""Stretches of somebody else's code that Ctrl-C must not cut in two."""

import signal
import threading
from types import FrameType, TracebackType


class Calm:
    """From its beginning to its end SIGINT is noted only, and then handled as it would have been.

    In the main thread, the only one that is interrupted; in another it does nothing. One may lie in another.

    >>> with Calm():
    ...     pass  # as long as it takes
    """

    def __init__(self) -> None:
        self._came = self._began = False

    def __enter__(self) -> "Calm":
        if threading.current_thread() is threading.main_thread():
            self._before, self._began = signal.signal(signal.SIGINT, self._note), True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._began:
            signal.signal(signal.SIGINT, self._before)
        if self._came:
            signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
