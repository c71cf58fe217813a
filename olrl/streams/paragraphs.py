"""Plain text lines joined into documents."""

from typing import Any

from olrl.streams.pieces import MAX_BYTES, TARGET_BYTES, n_bytes


class Paragraphs:
    r"""Joins lines into documents of whole paragraphs, at least 1,500 bytes each.

    Blank lines separate paragraphs. A paragraph that goes on and on is cut at the line end after 4,000 bytes.

    >>> paragraphs = Paragraphs()
    >>> [paragraphs.add(line) for line in ("one", "", "two")], paragraphs.rest()
    ([None, None, None], 'one\n\ntwo')
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    def add(self, line: str) -> str | None:
        """Take a line (without its end); returns a document when one is complete."""
        blank = not line.strip()
        if blank and (not self._lines or not self._lines[-1]):
            return None
        self._lines.append("" if blank else line)
        self._size += n_bytes(line) + 1
        return self.rest() if self._size >= (TARGET_BYTES if blank else MAX_BYTES) else None

    def rest(self) -> str | None:
        """What has not been returned yet, if anything; begins anew."""
        text = "\n".join(self._lines).rstrip("\n")
        self._lines, self._size = [], 0
        return text or None

    def state_dict(self) -> dict[str, Any]:
        """What has not been returned yet, JSON-able; it is text."""
        return {"lines": list(self._lines), "size": self._size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._lines, self._size = [str(line) for line in state["lines"]], int(state["size"])
