"""Resident memory of a process, in megabytes."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def now_mb() -> float:
    """What this process holds now; its peak where the system does not tell."""
    return _of_status("VmRSS:") or peak_mb()


def peak_mb() -> float:
    """The most that this process has held.

    Linux's ru_maxrss is passed on to a child that is started from a large process, so the memory of the process
    image itself is read where it can be.
    """
    if peak := _of_status("VmHWM:"):
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _of_status(key: str) -> float:
    if not _STATUS.exists():
        return 0.0
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key)), 0.0)


def peak_of(call: Callable[..., Any], *args: Any) -> float:
    """Peak of a new process that imports what it needs and makes one call; raises what the call raised."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_call_and_tell, args=(there, call, args))
    process.start()
    there.close()
    try:
        told = here.recv()
    except EOFError:
        raise RuntimeError("the process whose memory was measured ended early") from None
    finally:
        process.join()
    if isinstance(told, Exception):
        raise told
    return float(told)


def _call_and_tell(pipe: Connection, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        call(*args)
        pipe.send(peak_mb())
    except Exception as error:
        pipe.send(error)
