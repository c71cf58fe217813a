"""A stream that gives nothing but what cannot be used is given up."""

from collections import Counter


class GivenUp(ValueError):
    """Reading ended, since too much in a row could not be used; the message is a sentence for people."""


class Flood:
    """Counts what came since the last usable text, and raises GivenUp when it is too much.

    >>> flood = Flood(max_lines=3, max_bytes=1000)
    >>> for _ in range(3):
    ...     flood.unusable("invalid JSON", 10)
    Traceback (most recent call last):
    ...
    olrl.streams.flood.GivenUp: 3 lines (30 bytes) in a row could not be used (3 invalid JSON): check what it sends
    """

    def __init__(self, *, max_lines: int, max_bytes: int) -> None:
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self._lines = self._bytes = 0
        self._reasons: Counter[str] = Counter()

    def usable(self) -> None:
        """A text came."""
        if self._lines:
            self._lines = self._bytes = 0
            self._reasons.clear()

    def unusable(self, reason: str, n_bytes: int) -> None:
        """A line came that cannot be used, or is blank."""
        self._lines += 1
        self._bytes += n_bytes
        self._reasons[reason] += 1
        if self._lines >= self._max_lines or self._bytes >= self._max_bytes:
            raise GivenUp(self._told(self._lines, self._bytes))

    def unfinished(self, n_bytes: int) -> None:
        """So much of a line is there, and no end of it."""
        if self._bytes + n_bytes >= self._max_bytes:
            self._reasons["too long"] += 1
            raise GivenUp(self._told(self._lines + 1, self._bytes + n_bytes))

    def _told(self, lines: int, n_bytes: int) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._reasons.most_common())
        plural = "" if lines == 1 else "s"
        return (
            f"{lines:,} line{plural} ({n_bytes:,} bytes) in a row could not be used ({reasons}): "
            f"check what it sends"
        )
