"""Standard input written to a file before it is used, so that a run can go on after a kill."""

import os
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path

from olrl.streams.lines import BLOCK, ByteStream, Stop


def open_spool(path: Path) -> BufferedRandom:
    """The spool, made if it is not there (mode 0600); half a line at its end is cut off.

    A kill left it so: its other half was in the pipe, and is gone with it. What comes in next is another line.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    file = os.fdopen(descriptor, "r+b")
    file.truncate(_end_of_lines(file))
    return file


def _end_of_lines(file: BufferedRandom) -> int:
    """Bytes up to the last line end, 0 if there is none."""
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(at - BLOCK, 0)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def spooled_blocks(spool: BufferedRandom, stream: ByteStream, *, stop: Stop, inside: int) -> Iterator[bytes]:
    """What is in the spool from byte `inside` on, then what comes in, each block on the disk before it is given.

    A last line without an end is given one, so that it can be told from one that a kill cut off. Costs a
    flush to the disk for each block, a few ms.
    """
    spool.seek(inside)
    last = b"\n"
    while not stop() and (block := spool.read1(BLOCK)):
        last = block
        yield block
    while not stop() and (block := stream.read1(BLOCK)):
        last = block
        _append(spool, block)
        yield block
    if not stop() and not last.endswith(b"\n"):
        _append(spool, b"\n")
        yield b"\n"


def _append(spool: BufferedRandom, block: bytes) -> None:
    spool.seek(0, os.SEEK_END)
    spool.write(block)
    spool.flush()
    os.fsync(spool.fileno())
