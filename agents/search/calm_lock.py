"""Optuna's lock of a journal, over which Ctrl-C cannot make it trip."""

from contextlib import ExitStack

from optuna.storages.journal import JournalFileSymlinkLock

from .calm import Calm


class CalmLock(JournalFileSymlinkLock):
    """While it is held, SIGINT waits.

    An interrupt in the middle of `release` makes Optuna remove a file twice, and raise FileNotFoundError instead.
    """

    _calm: ExitStack | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        if self._calm is None:
            self._calm = ExitStack()
            self._calm.enter_context(Calm())
        return super().acquire()

    def release(self) -> None:
        """Give it back; what came meanwhile is handled now."""
        super().release()
        calm, self._calm = self._calm, None
        if calm is not None:
            calm.close()
