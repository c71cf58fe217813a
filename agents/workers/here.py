"""Workers that are this process itself."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from .local import LocalWorkers


class Here(LocalWorkers):
    """One thread of this process, for calls that take less long than starting another process."""

    @property
    def count(self) -> int:
        """One."""
        return 1

    @contextmanager
    def pool(self, most: int) -> Iterator[Executor]:
        """Calls one after the other."""
        with ThreadPoolExecutor(1) as executor:
            yield executor
