"""Lines of a byte stream that may be endless, still growing, or one line without an end."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path
from typing import Protocol

BLOCK = 1 << 16
_BOM = b"\xef\xbb\xbf"

Stop = Callable[[], bool]


class ByteStream(Protocol):
    """What lines are read from: a file opened with "rb", or `sys.stdin.buffer`."""

    def read1(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a line begins: its number from 1, and the bytes before it."""

    number: int = 1
    offset: int = 0


_BEGINNING = Place()


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line without its line end.

    `number` counts from 1, `offset` is in bytes. `complete` is false for a last line without a line end. An
    over-long line has its beginning in `content`, its length in `n_bytes`, and a `digest` of all of it.
    """

    content: bytes
    number: int
    offset: int
    n_bytes: int
    complete: bool = True
    digest: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether all of it is white space; an over-long line is not, though its beginning may be."""
        return self.digest is None and not self.content.strip()

    @property
    def end(self) -> Place:
        """Where the next line begins."""
        return Place(number=self.number + 1, offset=self.offset + self.n_bytes + self.complete)


def follow_blocks(
    path: Path,
    *,
    stop: Stop,
    poll_s: float,
    inside: int = 0,
    watch: Callable[[BufferedReader | None], None] = lambda file: None,
) -> Iterator[bytes]:
    """What is in a file from byte `inside` on and what is appended to it, until `stop()`.

    A file that shrinks or is replaced (as log rotation does) is read again from its beginning; what was
    half-written then is taken together with the new beginning. `watch` is given each file when it is
    opened, and None before it is closed.
    """
    while not stop():
        try:
            with path.open("rb") as file:
                file.seek(inside)
                inside = 0
                watch(file)
                try:
                    yield from _grown(file, path, stop, poll_s)
                finally:
                    watch(None)
        except OSError:  # between removal and replacement, or a disk that is away for a while
            time.sleep(poll_s)


def _grown(file: BufferedReader, path: Path, stop: Stop, poll_s: float) -> Iterator[bytes]:
    """Blocks of one open file until `stop()`, or until another file has taken its place."""
    while True:
        if block := file.read1(BLOCK):
            yield block
        elif stop() or _replaced(file, path):
            return
        else:
            time.sleep(poll_s)


def _replaced(file: BufferedReader, path: Path) -> bool:
    now = path.stat()
    before = os.fstat(file.fileno())
    return (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino) or now.st_size < file.tell()


def read_blocks(stream: ByteStream, *, stop: Stop) -> Iterator[bytes]:
    """What is in a stream, until its end or `stop()`."""
    while not stop() and (block := stream.read1(BLOCK)):
        yield block


def split_lines(
    blocks: Iterable[bytes],
    *,
    max_bytes: int,
    hasher: Callable[[], blake2b],
    stop: Stop,
    start: Place = _BEGINNING,
    unfinished_at: Callable[[int], None] = lambda n_bytes: None,
) -> Iterator[Line]:
    r"""Lines of a sequence of blocks; never holds more than `max_bytes` and a block of any.

    A carriage return before a line end, and a byte-order mark at the very beginning, are left out. What is
    half-written when `stop()` becomes true is no line yet, and is left out too. `start` is where the first
    block begins. `unfinished_at` is told after each block how long the line without an end is by then.

    >>> blocks = [b"good mor", b"ning\nto you"]
    >>> lines = split_lines(blocks, max_bytes=99, hasher=blake2b, stop=lambda: False)
    >>> [(line.content, line.complete) for line in lines]
    [(b'good morning', True), (b'to you', False)]
    """
    unfinished = _Unfinished(number=start.number, offset=start.offset, max_bytes=max_bytes, hasher=hasher)
    for block in blocks:
        *full, last = block.split(b"\n")
        for part in full:
            unfinished.add(part)
            yield unfinished.line(complete=True)
            if stop():
                return
            unfinished = unfinished.next()
        unfinished.add(last)
        unfinished_at(unfinished.n_bytes)
    if unfinished.n_bytes and not stop():
        yield unfinished.line(complete=False)


class _Unfinished:
    """A line of which more may come."""

    def __init__(self, *, number: int, offset: int, max_bytes: int, hasher: Callable[[], blake2b]) -> None:
        self._number, self._offset = number, offset
        self._max_bytes, self._hasher = max_bytes, hasher
        self._content = bytearray()  # grows in place: a slow writer may give a long line byte by byte
        self._hash: blake2b | None = None  # of all of the line, once it is too long to be held
        self.n_bytes = 0

    def add(self, part: bytes) -> None:
        self.n_bytes += len(part)
        if self._hash is not None:
            self._hash.update(part)
            return
        self._content += part
        if self.n_bytes > self._max_bytes:
            self._hash = self._hasher()
            self._hash.update(self._content)
            del self._content[self._max_bytes :]

    def line(self, *, complete: bool) -> Line:
        content = bytes(self._content)
        if self._offset == 0:
            content = content.removeprefix(_BOM)
        return Line(
            content=content.removesuffix(b"\r"),
            number=self._number,
            offset=self._offset,
            n_bytes=self.n_bytes,
            complete=complete,
            digest=self._hash.hexdigest() if self._hash else None,
        )

    def next(self) -> "_Unfinished":
        return _Unfinished(
            number=self._number + 1,
            offset=self._offset + self.n_bytes + 1,
            max_bytes=self._max_bytes,
            hasher=self._hasher,
        )
