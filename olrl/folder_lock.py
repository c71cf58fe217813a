"""One writer a folder."""

import os
import time
from errno import EACCES, EAGAIN
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # pragma: no cover # no such locks on this system
    fcntl = None  # type: ignore[assignment]


LOOK_S = 0.05  # a thousand times what a look takes


def is_held(folder: Path) -> bool | None:
    """Whether a run is writing into a folder; None where that cannot be known.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with FolderLock(Path(name)):
    ...         held = is_held(Path(name))
    ...     held, is_held(Path(name))
    (True, False)
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in (EAGAIN, EACCES) else None
    finally:
        os.close(descriptor)
    return False


class FolderLock:
    """Holds a folder while a run writes into it; ValueError if another one does.

    The lock is on the folder itself (`flock`), so it leaves no file, and the system lets go of it when the process
    ends, however that happens. Where a file system knows no such locks, none is taken.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(Path(folder)):
    ...     FolderLock(Path(folder))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: another run is writing into ...: wait for its end, or give another --out
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)
        if fcntl is None:
            return
        try:
            self._take()
        except OSError as error:
            if error.errno in (EAGAIN, EACCES):
                os.close(self._descriptor)
                raise ValueError(
                    f"another run is writing into {folder}: wait for its end, or give another --out"
                ) from None

    def _take(self) -> None:
        """Twice, since `is_held` of somebody who only looks may be in the way for a moment."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOOK_S)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
