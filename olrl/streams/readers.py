"""Documents from files, folders and standard input; what cannot be used goes to the dead letter."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

from olrl.streams.accept import MAX_TEXT_BYTES, NUL_BYTE
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.duplicates import DuplicateBurst
from olrl.streams.flood import Flood
from olrl.streams.lines import ByteStream, Line, Place, Stop, follow_blocks, read_blocks, split_lines
from olrl.streams.paragraphs import Paragraphs
from olrl.streams.rows import INVALID_JSON, Rejected, decode, document_of, parse_object
from olrl.streams.source import Source
from olrl.streams.spool import open_spool, spooled_blocks

TRUNCATED = "truncated last line"
SUFFIXES = (".jsonl", ".txt")
_TAIL = 4096  # bytes before the place reached, by which a file is known again


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """How files and standard input are read.

    max_line_bytes: a longer line is rejected, and never held whole.
    duplicate_limit, duplicate_window: a text that came more often than the limit among the last texts of the
        window is rejected, unless there may be `repeats`: what is asked again is asked again.
    poll_s: seconds between two looks at a file that is followed.
    give_up_lines, give_up_bytes: so many lines or bytes in a row without a usable text end the reading.
    """

    max_line_bytes: int = MAX_TEXT_BYTES
    duplicate_limit: int = 3
    duplicate_window: int = 256
    repeats: bool = False
    poll_s: float = 0.2
    give_up_lines: int = 100_000
    give_up_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.max_line_bytes < 1:
            raise ValueError(f"max_line_bytes must be at least 1, not {self.max_line_bytes!r}")
        if not 1 <= self.duplicate_limit <= self.duplicate_window:
            raise ValueError(
                f"duplicate_limit must be from 1 to duplicate_window = {self.duplicate_window}, "
                f"not {self.duplicate_limit!r}"
            )
        if self.give_up_lines < 1 or self.give_up_bytes < 1:
            raise ValueError(
                f"give_up_lines and give_up_bytes must be at least 1, "
                f"not {self.give_up_lines!r} and {self.give_up_bytes!r}"
            )
        if not self.poll_s > 0:
            raise ValueError(f"poll_s must be a positive number of seconds, not {self.poll_s!r}")


def _never() -> bool:
    return False


class Reader:
    """Reads documents; a row that cannot be used goes to `dead_letter`, and the next one is read.

    Raises GivenUp after a flood of them without a single usable text, and nothing else for whatever comes.
    With `late_labels`, a row of an id and a label without a text is the label of an earlier document; else it is
    a row that cannot be used. `stop` is asked between lines, and while a followed file does not grow; once it
    is true, reading ends. After `load_state_dict` the first file that is read is gone on with where the state
    says. Between two documents, `state_dict` says where the next one comes from.
    """

    def __init__(
        self,
        *,
        dead_letter: DeadLetter,
        config: ReaderConfig | None = None,
        stop: Stop | None = None,
        late_labels: bool = False,
    ) -> None:
        self._late_labels = late_labels
        self._dead_letter = dead_letter
        self._config = config or ReaderConfig()
        self._stop = stop or _never
        self._burst = DuplicateBurst(limit=self._config.duplicate_limit, window=self._config.duplicate_window)
        self._flood = Flood(max_lines=self._config.give_up_lines, max_bytes=self._config.give_up_bytes)
        self._paragraphs = Paragraphs()
        self._rows_only = False
        self._source: str | None = None  # what is read, or was last
        self._place = Place()
        self._begin = 0  # bytes of the files that stood in this one's place before
        self._file: BufferedReader | BufferedRandom | None = None  # while it is read
        self._tail = ""
        self._resumed: str | None = None  # the source that is to be gone on with

    def file(self, path: Path, *, source: str | None = None, follow: bool = False) -> Iterator[Document]:
        """Documents of a `.jsonl` or `.txt` file; with `follow`, also of what is appended, until `stop`.

        A `.jsonl` file has a document a line, an object with `text` and perhaps `time` and `label`; blank
        lines are skipped. In a `.txt` file blank lines separate paragraphs; a document is as many
        paragraphs as make 1,500 bytes, and a paragraph without end is cut at the line after 4,000 bytes. A
        byte-order mark at the beginning is skipped.
        """
        self._begin_source(source or path.name)
        inside = self._place.offset - self._begin
        if follow:
            blocks = follow_blocks(
                path, stop=self._stop, poll_s=self._config.poll_s, inside=inside, watch=self._watch
            )
            yield from self._documents(blocks, path.suffix)
            return
        with path.open("rb") as file:
            file.seek(inside)
            self._watch(file)
            try:
                yield from self._documents(read_blocks(file, stop=self._stop), path.suffix)
            finally:
                self._watch(None)

    def folder(self, folder: Path) -> Iterator[Document]:
        """Documents of the `.jsonl` and `.txt` files below a folder, by sorted path, without hidden ones.

        A file that cannot be read, or only in part, is noted in the dead letter.
        """
        for path in text_files(folder):
            source = path.relative_to(folder).as_posix()
            if self._resumed not in (None, source):
                continue
            try:
                yield from self.file(path, source=source)
            except OSError as error:
                reason = f"file cannot be read: {error.strerror}"
                self._dead_letter.reject(
                    source=_printable(source), line=0, offset=0, content=b"", reason=reason
                )

    def stream(
        self, stream: ByteStream, *, source: str = "-", spool: Path | None = None
    ) -> Iterator[Document]:
        """Documents of standard input or the like: a document a line.

        A line that parses as a JSON object is a row as in a `.jsonl` file, and from the first such line on
        every line must be one; lines before are plain text. Blank lines are skipped. With a `spool`, what comes
        in is written to that file first; what it holds already comes before the stream.
        """
        self._begin_source(source)
        if spool is None:
            yield from self._rows_or_text(read_blocks(stream, stop=self._stop))
            return
        with open_spool(spool) as file:
            self._watch(file, at=(inside := self._place.offset))
            try:
                yield from self._rows_or_text(spooled_blocks(file, stream, stop=self._stop, inside=inside))
            finally:
                self._watch(None)

    def _begin_source(self, source: str) -> None:
        if self._resumed != source:
            self._place, self._begin = Place(), 0
            self._paragraphs, self._rows_only = Paragraphs(), False
        self._source, self._resumed = source, None
        self._count = self._place.offset

    def _watch(self, file: BufferedReader | BufferedRandom | None, *, at: int | None = None) -> None:
        """A file begins to be read at byte `at` (or where it stands), or is about to be closed (None).

        A followed file may be one that has taken another's place.
        """
        if file is None:
            self._tail = self._read_tail()
        else:
            self._begin = self._count - (file.tell() if at is None else at)
        self._file = file

    def _read_tail(self) -> str:
        """A hash of the bytes of the file before the place reached."""
        if self._file is None:
            return self._tail
        inside = max(self._place.offset - self._begin, 0)
        start = max(inside - _TAIL, 0)
        return _hash(os.pread(self._file.fileno(), inside - start, start))

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[Line]:
        lines = split_lines(
            self._counted(blocks),
            max_bytes=self._config.max_line_bytes,
            hasher=self._dead_letter.hasher,
            stop=self._stop,
            unfinished_at=self._flood.unfinished,
            start=self._place,
        )
        for line in lines:
            self._place = line.end
            yield line

    def _counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._count += len(block)
            yield block

    def _documents(self, blocks: Iterator[bytes], suffix: str) -> Iterator[Document]:
        lines = self._lines(blocks)
        return self._rows(lines) if suffix == ".jsonl" else self._joined(lines)

    def _rows(self, lines: Iterator[Line]) -> Iterator[Document]:
        for line in lines:
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
                continue
            try:
                yield self._document(self._row(line))
            except Rejected as reason:
                self._reject(line, str(reason))

    def _rows_or_text(self, blocks: Iterator[bytes]) -> Iterator[Document]:
        for line in self._lines(blocks):
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
                continue
            try:
                content = self._row_or_text(line, self._rows_only)
                self._rows_only = isinstance(content, dict)
                yield self._document(content)
            except Rejected as reason:
                self._reject(line, str(reason))

    def _joined(self, lines: Iterator[Line]) -> Iterator[Document]:
        """Documents of whole paragraphs."""
        line = Line(content=b"", number=self._place.number, offset=self._place.offset, n_bytes=0)
        for line in lines:
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
            try:
                text = self._paragraphs.add(self._text(line))
                if text is not None:
                    yield self._document(text)
            except Rejected as reason:
                self._reject(line, str(reason))
        text = None if self._stop() else self._paragraphs.rest()  # when it is stopped, more may come later
        if text is not None:
            try:
                yield self._document(text)
            except Rejected as reason:
                self._reject(line, str(reason))

    def _row_or_text(self, line: Line, rows_only: bool) -> dict[str, Any] | str:
        if rows_only or line.content.lstrip().startswith(b"{"):
            try:
                return self._row(line)
            except Rejected as reason:
                if rows_only or str(reason) not in (INVALID_JSON, TRUNCATED):
                    raise
        return self._text(line)

    def _row(self, line: Line) -> dict[str, Any]:
        _check_length(line)
        try:
            return parse_object(line.content)
        except Rejected:
            if line.complete:
                raise
            raise Rejected(TRUNCATED) from None

    def _text(self, line: Line) -> str:
        _check_length(line)
        text = decode(line.content)
        if "\0" in text:
            raise Rejected(NUL_BYTE)
        return text

    def _document(self, content: dict[str, Any] | str) -> Document:
        row = {"text": content} if isinstance(content, str) else content
        document = document_of(row, source=_printable(self._source or ""), late_labels=self._late_labels)
        checked = not (document.is_late_label or self._config.repeats)
        if checked and self._burst.add(document.text):
            raise Rejected("duplicate")
        self._flood.usable()
        return document

    def _reject(self, line: Line, reason: str) -> None:
        self._dead_letter.reject(
            source=_printable(self._source or ""),
            line=line.number,
            offset=line.offset,
            content=line.content,
            reason=reason,
            n_bytes=line.n_bytes,
            digest=line.digest,
        )
        self._flood.unusable(reason, line.n_bytes)

    def state_dict(self) -> dict[str, Any]:
        """Where the next document comes from, JSON-able.

        It holds text: the paragraph of a `.txt` file that is not yet part of a document.
        """
        return {
            "source": self._source,
            "line": self._place.number,
            "offset": self._place.offset,
            "begin": min(self._begin, self._place.offset),  # a new file of which no line was taken yet
            "tail": self._read_tail(),
            "paragraphs": self._paragraphs.state_dict(),
            "rows_only": self._rows_only,
            "burst": self._burst.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], *, path: Path, follow: bool = False) -> None:
        """Continue from `state_dict()`; `path` is the file, folder or spool that is about to be read.

        Raises ValueError if what was read before is not there any more. A followed file is read from its
        beginning then: another one has taken its place.
        """
        self._burst.load_state_dict(state["burst"])
        self._source = self._resumed = state["source"]
        if self._source is None:  # nothing was read yet
            return
        self._place = Place(number=state["line"], offset=state["offset"])
        self._begin, self._tail = state["begin"], state["tail"]
        self._paragraphs.load_state_dict(state["paragraphs"])
        self._rows_only = state["rows_only"]
        file = path / self._source if path.is_dir() else path
        inside = self._place.offset - self._begin
        if _tail_of(file, inside) != self._tail:
            if not follow:
                raise ValueError(
                    f"{str(file)!r} has changed within the first {inside:,} bytes, which the run has read: "
                    f"put back what was there, or begin a new run"
                )
            self._begin = self._place.offset


class ReadSource(Source):
    """The documents of a reader, and where it is."""

    def __init__(self, reader: Reader, documents: Iterator[Document]) -> None:
        self._reader, self._documents = reader, documents

    def __next__(self) -> Document:
        return next(self._documents)

    def state_dict(self) -> dict[str, Any]:
        """Where the reader is."""
        return self._reader.state_dict()


def _tail_of(file: Path, inside: int) -> str | None:
    """The hash of the bytes before place `inside` of a file; None if it has no such place."""
    try:
        with file.open("rb") as opened:
            start = max(inside - _TAIL, 0)
            opened.seek(start)
            content = opened.read(inside - start)
    except OSError:
        return None
    return _hash(content) if len(content) == inside - start else None


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def text_files(folder: Path) -> Iterator[Path]:
    """The `.jsonl` and `.txt` files below a folder by sorted path; none whose name or folder begins with a dot.

    Holds the names of one folder a level, not those of all files. Links to folders are not followed, and folders
    that cannot be read are passed over.
    """
    levels = [_entries(folder)]
    while levels:  # no recursion, since folders may lie deeper than the interpreter's stack
        path, is_folder = next(levels[-1], (None, False))
        if path is None:
            levels.pop()
        elif is_folder:
            levels.append(_entries(path))
        elif path.suffix in SUFFIXES and path.is_file():
            yield path


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """What is in a folder, sorted, and whether it is a folder itself."""
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, _is_folder(entry)) for entry in entries if entry.name[:1] != ".")
    except OSError:  # not ours to read, or a path too long for the system
        return
    for name, is_folder in names:
        yield folder / name, is_folder


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _printable(name: str) -> str:
    """A name as reports and files of UTF-8 can hold it: names of files may be any bytes."""
    return name.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _check_length(line: Line) -> None:
    if line.digest is not None:
        raise Rejected("too long")
