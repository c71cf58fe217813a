"""`olrl` in processes of their own that are forked from this one, which has imported everything already."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from olrl.cli import execute

PAUSE_S = 0.005


class Forked:
    """A command line of olrl in a process group of its own, its output appended to `log`.

    It runs as it would from a shell, but for its imports, which take seconds: with hundreds of starts those would
    be most of the time, and most kills would hit them. `stdin` is a file and where in it standard input begins.
    """

    def __init__(self, args: list[str], *, log: Path, stdin: tuple[Path, int] | None = None) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                _redirect(log, stdin)
                code = execute(args)
            except BaseException as error:
                print(f"failed: {error!r}", file=sys.stderr)
                code = 70
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        # Here as well as there: whichever comes first, a kill finds the group.
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.pid, self.pid)

    def wait(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> int | None:
        """Its exit code, or None if it is still running after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= until:
                return None
            meanwhile()
            time.sleep(PAUSE_S)

    def kill(self) -> int | None:
        """SIGKILL to it and to the processes it has started; its exit code if it had just ended by itself."""
        os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def _redirect(log: Path, stdin: tuple[Path, int] | None) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    source, at = stdin or (Path(os.devnull), 0)
    descriptor = os.open(source, os.O_RDONLY)
    if at:
        os.lseek(descriptor, at, os.SEEK_SET)
    os.dup2(descriptor, 0)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
