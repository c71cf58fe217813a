"""Where rows go that cannot be used, with the reason; never their text unless asked for."""

import json
import os
import secrets
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO


class DeadLetter:
    """Counts rejected rows by reason and, given a `path`, appends a JSON line for each (file mode 0600).

    A line has `source`, `line` (from 1), `offset` (bytes before the row), `bytes` (its length), `hash` and
    `reason`. The hash is BLAKE2b under `key`, by default drawn anew for each run and kept nowhere but in its
    checkpoints: equal rows of a run can be told, and nobody can confirm a guess of what a row said. With
    `keep_text` there is `text` too (of over-long rows the beginning; undecodable bytes escaped). After
    `max_rows` lines rows are only counted, so that a stream of rubbish does not fill a disk.

    >>> dead_letter = DeadLetter(None)
    >>> dead_letter.reject(source="a.jsonl", line=1, offset=0, content=b"{", reason="invalid JSON")
    >>> dead_letter.total, dict(dead_letter.counts)
    (1, {'invalid JSON': 1})
    """

    def __init__(
        self,
        path: Path | None,
        *,
        keep_text: bool = False,
        key: bytes | None = None,
        max_rows: int = 100_000,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._path = path
        self._keep_text = keep_text
        self._key = secrets.token_bytes(32) if key is None else key
        self._max_rows = max_rows
        self._file: BinaryIO | None = None

    @property
    def total(self) -> int:
        """How many rows were rejected."""
        return self.counts.total()

    def hasher(self) -> blake2b:
        """A fresh keyed hash, for rows too long to be held."""
        return blake2b(digest_size=16, key=self._key)

    def reject(
        self,
        *,
        source: str,
        line: int,
        offset: int,
        content: bytes,
        reason: str,
        n_bytes: int | None = None,
        digest: str | None = None,
    ) -> None:
        """Record a row; of an over-long one `content` is the beginning, and length and hash are given."""
        self.counts[reason] += 1
        if self._path is None or self.total > self._max_rows:
            return
        if digest is None:
            hasher = self.hasher()
            hasher.update(content)
            digest = hasher.hexdigest()
        row: dict[str, str | int] = {
            "source": source,
            "line": line,
            "offset": offset,
            "bytes": len(content) if n_bytes is None else n_bytes,
            "hash": digest,
            "reason": reason,
        }
        if self._keep_text:
            row["text"] = content.decode("utf-8", errors="backslashreplace")
        self._append(json.dumps(row).encode("ascii") + b"\n", self._path)

    def _append(self, row: bytes, path: Path) -> None:
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(descriptor, "ab")
        self._file.write(row)
        self._file.flush()  # a row survives whatever comes next

    def state_dict(self) -> dict[str, Any]:
        """Counts, the key and the size of the file, JSON-able; all rows are on the disk when this returns."""
        size = 0
        if self._file is not None:
            os.fsync(self._file.fileno())
        if self._path is not None and self._path.exists():
            size = self._path.stat().st_size
        return {"key": self._key.hex(), "counts": dict(self.counts), "size": size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; whoever does so has cut the file back to the size it had."""
        self.counts = Counter({str(reason): int(count) for reason, count in state["counts"].items()})
        self._key = bytes.fromhex(state["key"])

    def close(self) -> None:
        """Close the file; a later rejection opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "DeadLetter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
