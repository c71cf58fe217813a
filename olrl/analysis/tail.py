"""A growing file of JSON lines, read on from where one stopped."""

import json
from pathlib import Path
from typing import Any

from olrl.run_folder import bounded_lines

_REMEMBERED = 64  # bytes before the place reached, to know the file again


class CutBack(Exception):
    """The file is not the one that was read so far: a run was gone on with from an earlier place."""


class Tail:
    r"""Rows that were appended since the last look; a line that is not whole yet waits for its end.

    Holds the place in the file and nothing of it. Raises `CutBack` where the file was cut back or replaced, and
    ValueError where a line is damaged or has no end.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rows.jsonl"
    ...     tail = Tail(path)
    ...     nothing = tail.rows(10)
    ...     _ = path.write_text('{"round": 0}\n{"rou')
    ...     nothing, tail.rows(10), tail.rows(10)
    ([], [{'round': 0}], [])
    """

    def __init__(self, path: Path) -> None:
        self.place = 0  # bytes
        self._path = path
        self._before = b""

    def rows(self, most: int) -> list[dict[str, Any]]:
        """The next rows, at most so many; none where there is no file yet."""
        if not self._path.is_file():
            if self.place:
                raise CutBack
            return []
        found: list[dict[str, Any]] = []
        with self._path.open("rb") as file:
            file.seek(self.place - len(self._before))
            if file.read(len(self._before)) != self._before:
                raise CutBack
            if not most:
                return found
            for line in bounded_lines(file, self._path):
                if not line.endswith(b"\n"):
                    break
                self.place += len(line)
                self._before = (self._before + line)[-_REMEMBERED:]
                if line.strip():
                    found.append(self._row(line))
                if len(found) == most:
                    break
        return found

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{self._path} is damaged {self.place} bytes from its beginning: {error}"
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f"{self._path} holds a line that is no JSON object")
        return row

    @property
    def size(self) -> int:
        """The file's size now, in bytes."""
        return self._path.stat().st_size if self._path.is_file() else 0
