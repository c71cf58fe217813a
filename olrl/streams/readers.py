"""Documents from files, folders and standard input; what cannot be used goes to the dead letter."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrl.streams.accept import MAX_TEXT_BYTES, NUL_BYTE
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.duplicates import DuplicateBurst
from olrl.streams.flood import Flood
from olrl.streams.lines import ByteStream, Line, Stop, follow_blocks, read_blocks, split_lines
from olrl.streams.paragraphs import Paragraphs
from olrl.streams.rows import INVALID_JSON, Rejected, decode, document_of, parse_object

TRUNCATED = "truncated last line"
SUFFIXES = (".jsonl", ".txt")


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """How files and standard input are read.

    max_line_bytes: a longer line is rejected, and never held whole.
    duplicate_limit, duplicate_window: a text that came more often than the limit among the last texts of the
        window is rejected.
    poll_s: seconds between two looks at a file that is followed.
    give_up_lines, give_up_bytes: so many lines or bytes in a row without a usable text end the reading.
    """

    max_line_bytes: int = MAX_TEXT_BYTES
    duplicate_limit: int = 3
    duplicate_window: int = 256
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
    `stop` is asked between lines, and while a followed file does not grow; once it is true, reading ends.
    """

    def __init__(
        self, *, dead_letter: DeadLetter, config: ReaderConfig | None = None, stop: Stop | None = None
    ) -> None:
        self._dead_letter = dead_letter
        self._config = config or ReaderConfig()
        self._stop = stop or _never
        self._burst = DuplicateBurst(limit=self._config.duplicate_limit, window=self._config.duplicate_window)
        self._flood = Flood(max_lines=self._config.give_up_lines, max_bytes=self._config.give_up_bytes)

    def file(self, path: Path, *, source: str | None = None, follow: bool = False) -> Iterator[Document]:
        """Documents of a `.jsonl` or `.txt` file; with `follow`, also of what is appended, until `stop`.

        A `.jsonl` file has a document a line, an object with `text` and perhaps `time` and `label`; blank
        lines are skipped. In a `.txt` file blank lines separate paragraphs; a document is as many
        paragraphs as make 1,500 bytes, and a paragraph without end is cut at the line after 4,000 bytes. A
        byte-order mark at the beginning is skipped.
        """
        name = _printable(source or path.name)
        if follow:
            blocks = follow_blocks(path, stop=self._stop, poll_s=self._config.poll_s)
            yield from self._documents(self._lines(blocks), name, path.suffix)
            return
        with path.open("rb") as file:
            yield from self._documents(self._lines(read_blocks(file, stop=self._stop)), name, path.suffix)

    def folder(self, folder: Path) -> Iterator[Document]:
        """Documents of the `.jsonl` and `.txt` files below a folder, by sorted path, without hidden ones.

        A file that cannot be read, or only in part, is noted in the dead letter.
        """
        for path in text_files(folder):
            source = path.relative_to(folder).as_posix()
            try:
                yield from self.file(path, source=source)
            except OSError as error:
                reason = f"file cannot be read: {error.strerror}"
                self._dead_letter.reject(
                    source=_printable(source), line=0, offset=0, content=b"", reason=reason
                )

    def stream(self, stream: ByteStream, *, source: str = "-") -> Iterator[Document]:
        """Documents of standard input or the like: a document a line.

        A line that parses as a JSON object is a row as in a `.jsonl` file, and from the first such line on
        every line must be one; lines before are plain text. Blank lines are skipped.
        """
        rows_only = False
        for line in self._lines(read_blocks(stream, stop=self._stop)):
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
                continue
            try:
                content = self._row_or_text(line, rows_only)
                rows_only = isinstance(content, dict)
                yield self._document(content, source)
            except Rejected as reason:
                self._reject(line, source, str(reason))

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[Line]:
        return split_lines(
            blocks,
            max_bytes=self._config.max_line_bytes,
            hasher=self._dead_letter.hasher,
            stop=self._stop,
            unfinished_at=self._flood.unfinished,
        )

    def _documents(self, lines: Iterator[Line], source: str, suffix: str) -> Iterator[Document]:
        return self._rows(lines, source) if suffix == ".jsonl" else self._paragraphs(lines, source)

    def _rows(self, lines: Iterator[Line], source: str) -> Iterator[Document]:
        for line in lines:
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
                continue
            try:
                yield self._document(self._row(line), source)
            except Rejected as reason:
                self._reject(line, source, str(reason))

    def _paragraphs(self, lines: Iterator[Line], source: str) -> Iterator[Document]:
        paragraphs = Paragraphs()
        line = None
        for line in lines:
            if line.is_blank:
                self._flood.unusable("blank", line.n_bytes)
            try:
                text = paragraphs.add(self._text(line))
                if text is not None:
                    yield self._document(text, source)
            except Rejected as reason:
                self._reject(line, source, str(reason))
        text = paragraphs.rest()
        if line is not None and text is not None:
            try:
                yield self._document(text, source)
            except Rejected as reason:
                self._reject(line, source, str(reason))

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

    def _document(self, content: dict[str, Any] | str, source: str) -> Document:
        row = {"text": content} if isinstance(content, str) else content
        document = document_of(row, source=source)
        if self._burst.add(document.text):
            raise Rejected("duplicate")
        self._flood.usable()
        return document

    def _reject(self, line: Line, source: str, reason: str) -> None:
        self._dead_letter.reject(
            source=source,
            line=line.number,
            offset=line.offset,
            content=line.content,
            reason=reason,
            n_bytes=line.n_bytes,
            digest=line.digest,
        )
        self._flood.unusable(reason, line.n_bytes)


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
